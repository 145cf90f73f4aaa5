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

newest as (

    select distinct on (budget_id)
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
        (select day_order(current_setting('app.day'))) as version_key
    from stg_budgets
    where day = current_setting('app.day')
    order by
        budget_id,
        source_file desc,
        position desc

),

-- Only what is new or differs goes on: an unchanged row is not even locked.
-- A record that is newer and says the same is a change, too: what comes late must lose to it.
changed as (

    select newest.*
    from newest
    left join budgets as current on current.budget_id = newest.budget_id
    where current.budget_id is null or (
        newest.version_key >= current.version_key
        and (
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
        ) is distinct from (
            current.budget_uuid,
            current.name,
            current.description,
            current.retired,
            current.start_date,
            current.recurring_interval,
            current.timezone,
            current.limit_amount,
            current.overspend_buffer,
            current.assigned_amount,
            current.spent_cleared,
            current.spent_pending,
            current.spent_total,
            current.version_key
        )
    )

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
        changed.budget_id,
        changed.budget_uuid,
        changed.name,
        changed.description,
        changed.retired,
        changed.start_date,
        changed.recurring_interval,
        changed.timezone,
        changed.limit_amount,
        changed.overspend_buffer,
        changed.assigned_amount,
        changed.spent_cleared,
        changed.spent_pending,
        changed.spent_total,
        changed.version_key
    from changed
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
