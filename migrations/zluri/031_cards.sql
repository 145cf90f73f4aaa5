-- 031_cards: one row a card, newest update wins; skipped on a day without `cards`.
-- description: cards, newest update of each
begin;

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        is_loaded('cards') as is_loaded,
        now() as started_at

),

staged as (

    select
        card_id collate "C" as card_id,
        card_uuid,
        name,
        user_id,
        user_uuid,
        budget_id,
        budget_uuid,
        last_four,
        valid_thru,
        status,
        type,
        share_budget_funds,
        recurring,
        recurring_limit,
        current_limit,
        current_spent,
        created_time,
        updated_time,
        content_hash,
        source_file,
        position,
        -- In a subquery of its own, so that it is worked out once and not for each row.
        (select day_order(current_setting('app.day'))) as version_key
    from stg_cards
    where day = current_setting('app.day')

),

-- Only what is new or differs goes on: an unchanged row is neither sorted nor locked.
-- A record that is newer and says the same is a change, too: what comes late must lose to it.
changed as (

    select
        staged.*,
        current.card_id is not null
            and current.updated_time is not distinct from staged.updated_time
            and current.version_key = staged.version_key as is_correction
    from staged
    left join cards as current on current.card_id = staged.card_id
    where current.card_id is null or (
        -- First what is false for most rows.
        (staged.content_hash, staged.version_key) is distinct from (current.content_hash, current.version_key)
        and (coalesce(staged.updated_time, '-infinity'), staged.version_key)
            >= (coalesce(current.updated_time, '-infinity'), current.version_key)
    )

),

-- What differs from the stored row of the same day and time may do so because it is superseded by
-- the very record that is stored, and that one was left out above.
superseded as (

    select
        changed.card_id,
        changed.source_file,
        changed.position
    from changed
    inner join stg_cards as later on later.card_id = changed.card_id
    where changed.is_correction
        and later.day = current_setting('app.day')
        and later.updated_time is not distinct from changed.updated_time
        and (later.source_file, later.position) > (changed.source_file, changed.position)

),

-- The day's other records of a card are superseded, too. What else differs is not even looked
-- for among the superseded: `not in` is worked out when the first correction asks for it.
newest as (

    select distinct on (card_id) *
    from changed
    where not is_correction
        or (card_id, source_file, position) not in (select card_id, source_file, position from superseded)
    order by
        card_id,
        updated_time desc nulls last,
        source_file desc,
        position desc

),

upserted as (

    insert into cards as target (
        card_id,
        card_uuid,
        name,
        user_id,
        user_uuid,
        budget_id,
        budget_uuid,
        last_four,
        valid_thru,
        status,
        type,
        share_budget_funds,
        recurring,
        recurring_limit,
        current_limit,
        current_spent,
        created_time,
        updated_time,
        version_key
    )
    select
        newest.card_id,
        newest.card_uuid,
        newest.name,
        newest.user_id,
        newest.user_uuid,
        newest.budget_id,
        newest.budget_uuid,
        newest.last_four,
        newest.valid_thru,
        newest.status,
        newest.type,
        newest.share_budget_funds,
        newest.recurring,
        newest.recurring_limit,
        newest.current_limit,
        newest.current_spent,
        newest.created_time,
        newest.updated_time,
        newest.version_key
    from newest
    cross join context
    where context.is_loaded
    on conflict (card_id) do update
    set
        card_uuid = excluded.card_uuid,
        name = excluded.name,
        user_id = excluded.user_id,
        user_uuid = excluded.user_uuid,
        budget_id = excluded.budget_id,
        budget_uuid = excluded.budget_uuid,
        last_four = excluded.last_four,
        valid_thru = excluded.valid_thru,
        status = excluded.status,
        type = excluded.type,
        share_budget_funds = excluded.share_budget_funds,
        recurring = excluded.recurring,
        recurring_limit = excluded.recurring_limit,
        current_limit = excluded.current_limit,
        current_spent = excluded.current_spent,
        created_time = excluded.created_time,
        updated_time = excluded.updated_time,
        version_key = excluded.version_key
    where (coalesce(excluded.updated_time, '-infinity'), excluded.version_key)
        >= (coalesce(target.updated_time, '-infinity'), target.version_key)
    returning (xmax = 0) as inserted

),

metrics as (

    select
        count(*) filter (where inserted) as inserted,
        count(*) filter (where not inserted) as updated,
        0 as deleted
    from upserted

),

-- Read from metrics, so that the clock is looked at after the work.
finished as (select metrics.*, clock_timestamp() as finished_at from metrics)

insert into pipeline_metrics (
    flow_run_id,
    task_name,
    pipeline_name,
    table_name,
    day,
    rows_inserted,
    rows_updated,
    rows_deleted,
    rows_affected,
    status,
    started_at,
    finished_at,
    duration_seconds
)
select
    context.flow_run_id,
    'cards_task',
    'cards',
    'cards',
    context.day,
    finished.inserted,
    finished.updated,
    finished.deleted,
    finished.inserted + finished.updated + finished.deleted,
    case when context.is_loaded then 'success' else 'skipped' end,
    context.started_at,
    finished.finished_at,
    extract(epoch from finished.finished_at - context.started_at)
from finished
cross join context;

commit;
