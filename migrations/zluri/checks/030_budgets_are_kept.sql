-- check: 030_budgets
-- severity: warn
-- description: budgets of which more is spent than limit and buffer allow
select
    budget_id,
    name,
    limit_amount,
    overspend_buffer,
    spent_total
from budgets
where version_key = (select day_order(current_setting('app.day')))
    and retired is not true
    and spent_total > limit_amount + coalesce(overspend_buffer, 0)
order by budget_id
