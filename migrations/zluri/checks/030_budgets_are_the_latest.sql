-- check: 030_budgets
-- severity: error
-- description: budgets that are missing, or of an earlier day than their record
select
    staged.budget_id,
    staged.name,
    staged.source_file,
    staged.position
from stg_budgets as staged
left join budgets on budgets.budget_id = staged.budget_id
where staged.day = current_setting('app.day')
    and (
        budgets.budget_id is null
        or budgets.version_key < (select day_order(current_setting('app.day')))
    )
order by staged.budget_id
