-- check: 040_transactions
-- severity: error
-- description: transactions of the day without the reference rate that there is for their date
with unpriced as materialized (

    -- Midnights by date_bin: the same dates as by a conversion to UTC, for a fraction of the time.
    select distinct
        original_currency,
        date_bin('1 day', occurred_time, '2000-01-01 00:00Z') as utc_midnight
    from transactions
    where fx_source in ('MISSING', 'PAYLOAD')
        and version_key = (select day_order(current_setting('app.day')))

),

-- Dates and currencies that could have been priced: none, where all is well.
priceable as materialized (

    select
        unpriced.original_currency,
        unpriced.utc_midnight,
        dated.utc_date
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

)

select
    transactions.transaction_id,
    transactions.original_currency,
    priceable.utc_date,
    transactions.fx_source
from priceable
inner join transactions
    on transactions.original_currency = priceable.original_currency
    and date_bin('1 day', transactions.occurred_time, '2000-01-01 00:00Z') = priceable.utc_midnight
where transactions.fx_source in ('MISSING', 'PAYLOAD')
    and transactions.version_key = (select day_order(current_setting('app.day')))
    -- What the day brought when it was applied before, and brings no more, keeps the rate of then.
    and exists (

        select from stg_transactions as staged
        where staged.day = current_setting('app.day')
            and staged.transaction_id = transactions.transaction_id
            and staged.updated_time is not distinct from transactions.updated_time

    )
order by transactions.transaction_id
