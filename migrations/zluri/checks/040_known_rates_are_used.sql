-- check: 040_transactions
-- severity: error
-- description: dates on which the day's transactions have no reference rate though there is one
with unpriced as materialized (

    -- Midnights by date_bin: the same dates as by a conversion to UTC, for a fraction of the time.
    select
        original_currency,
        date_bin('1 day', occurred_time, '2000-01-01 00:00Z') as utc_midnight,
        count(*) as transactions,
        min(transaction_id) as one_of_them
    from transactions
    where fx_source in ('MISSING', 'PAYLOAD')
        and version_key = (select day_order(current_setting('app.day')))
    group by original_currency, utc_midnight

)

select
    unpriced.original_currency,
    dated.utc_date,
    unpriced.transactions,
    unpriced.one_of_them
from unpriced
cross join lateral (select (unpriced.utc_midnight at time zone 'UTC')::date as utc_date) as dated
where exists (

    select
    from fx_rates as usd
    left join fx_rates as own
        on own.currency = unpriced.original_currency and own.rate_date = usd.rate_date
    where usd.currency = 'USD'
        and usd.rate_date between dated.utc_date - 7 and dated.utc_date
        and (own.currency is not null or unpriced.original_currency = 'EUR')

)
order by unpriced.original_currency, dated.utc_date
