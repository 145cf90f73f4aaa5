-- 010_monthly_spend: what was spent, by month of the transactions (UTC), currency and budget.
-- description: spend by month, currency and budget
create materialized view monthly_spend as
select
    (date_trunc('month', transactions.occurred_time at time zone 'UTC'))::date as month,
    transactions.original_currency as currency,
    -- Empty where a transaction names none, so that its rows have a key, too.
    coalesce(transactions.budget_id, '') as budget_id,
    -- Empty where no file names the budget.
    max(budgets.name) as budget_name,
    count(*) as transactions,
    sum(transactions.original_amount) as amount,
    sum(transactions.amount_usd) as amount_usd,
    -- Those without a rate, which are in amount and not in amount_usd.
    count(*) filter (where transactions.fx_source = 'MISSING') as unpriced
from transactions
left join budgets on budgets.budget_id = transactions.budget_id
group by month, currency, coalesce(transactions.budget_id, '');

create unique index monthly_spend_key on monthly_spend (month, currency, budget_id);
