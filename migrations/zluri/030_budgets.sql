-- 030_budgets: one row a budget, as the latest day has it; skipped on a day without `budgets`.
-- Budgets carry no time of their update, so the later day wins, whenever it is applied.
-- description: budgets, as of the latest day
begin;

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        is_loaded('budgets') as is_loaded,
        now() as started_at

),

staged as (

    select
        budget_id collate "C" as budget_id,
        budget_uuid,
        name,
        description,
        retired,
        start_date,
        recurring_interval,
        timezone,
        limit_amount,
        overspend_buffer,
        assigned_amount,
        spent_cleared,
        spent_pending,
        spent_total,
        content_hash,
        source_file,
        position,
        -- In a subquery of its own, so that it is worked out once and not for each row.
        (select day_order(current_setting('app.day'))) as version_key
    from stg_budgets
    where day = current_setting('app.day')

),

-- Only what is new or differs goes on: an unchanged row is neither sorted nor locked.
-- A record that is newer and says the same is a change, too: what comes late must lose to it.
changed as (

    select
        staged.*,
        current.budget_id is not null and current.version_key = staged.version_key as is_correction
    from staged
    left join budgets as current on current.budget_id = staged.budget_id
    where current.budget_id is null or (
        -- First what is false for most rows.
        (staged.content_hash, staged.version_key) is distinct from (current.content_hash, current.version_key)
        and staged.version_key >= current.version_key
    )

),

-- What differs from the stored row of the same day may do so because it is superseded by
-- the very record that is stored, and that one was left out above.
superseded as (

    select
        changed.budget_id,
        changed.source_file,
        changed.position
    from changed
    inner join stg_budgets as later on later.budget_id = changed.budget_id
    where changed.is_correction
        and later.day = current_setting('app.day')
        and (later.source_file, later.position) > (changed.source_file, changed.position)

),

-- The day's other records of a budget are superseded, too. What else differs is not even looked
-- for among the superseded: `not in` is worked out when the first correction asks for it.
newest as (

    select distinct on (budget_id) *
    from changed
    where not is_correction
        or (budget_id, source_file, position) not in (select budget_id, source_file, position from superseded)
    order by
        budget_id,
        source_file desc,
        position desc

),

upserted as (

    insert into budgets as target (
        budget_id,
        budget_uuid,
        name,
        description,
        retired,
        start_date,
        recurring_interval,
        timezone,
        limit_amount,
        overspend_buffer,
        assigned_amount,
        spent_cleared,
        spent_pending,
        spent_total,
        version_key
    )
    select
        newest.budget_id,
        newest.budget_uuid,
        newest.name,
        newest.description,
        newest.retired,
        newest.start_date,
        newest.recurring_interval,
        newest.timezone,
        newest.limit_amount,
        newest.overspend_buffer,
        newest.assigned_amount,
        newest.spent_cleared,
        newest.spent_pending,
        newest.spent_total,
        newest.version_key
    from newest
    cross join context
    where context.is_loaded
    on conflict (budget_id) do update
    set
        budget_uuid = excluded.budget_uuid,
        name = excluded.name,
        description = excluded.description,
        retired = excluded.retired,
        start_date = excluded.start_date,
        recurring_interval = excluded.recurring_interval,
        timezone = excluded.timezone,
        limit_amount = excluded.limit_amount,
        overspend_buffer = excluded.overspend_buffer,
        assigned_amount = excluded.assigned_amount,
        spent_cleared = excluded.spent_cleared,
        spent_pending = excluded.spent_pending,
        spent_total = excluded.spent_total,
        version_key = excluded.version_key
    where excluded.version_key >= target.version_key
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
    'budgets_task',
    'budgets',
    'budgets',
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
