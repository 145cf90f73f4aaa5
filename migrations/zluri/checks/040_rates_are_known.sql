-- check: 040_transactions
-- severity: warn
-- description: transactions of the day without a rate, and so without an amount in US dollars
select
    transaction_id,
    original_amount,
    original_currency,
    occurred_time
from transactions
where version_key = (select day_order(current_setting('app.day')))
    and fx_source = 'MISSING'
order by transaction_id
