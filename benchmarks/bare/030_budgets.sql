-- Budgets, rows as they come.
begin;

insert into budgets (
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
    day
from stg_budgets
where day = current_setting('app.day')
order by budget_id
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
    version_key = excluded.version_key;

commit;
