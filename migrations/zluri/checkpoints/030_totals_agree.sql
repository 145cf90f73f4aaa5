-- severity: error
-- description: currencies in which transactions of the day, or a part of their amount, are lost
with context as materialized (

    select
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key

),

-- The day's own record of each transaction.
brought as (

    select distinct on (transaction_id)
        transaction_id,
        updated_time,
        currency,
        minor_units * round(10::numeric ^ -exponent, exponent) as amount
    from stg_transactions
    where day = (select day from context)
    order by transaction_id, updated_time desc nulls last, source_file desc, position desc

),

-- What a newer record has superseded is no matter of this day.
compared as (

    select
        brought.currency,
        brought.amount,
        kept.transaction_id as kept_id,
        case when kept.original_currency = brought.currency then kept.original_amount end as kept_amount
    from brought
    left join transactions as kept on kept.transaction_id = brought.transaction_id
    where kept.transaction_id is null
        or (coalesce(kept.updated_time, '-infinity'), kept.version_key)
            <= (coalesce(brought.updated_time, '-infinity'), (select day_key from context))

)

select
    currency,
    count(*) as transactions_brought,
    count(kept_id) as transactions_kept,
    sum(amount) as amount_brought,
    sum(kept_amount) as amount_kept
from compared
group by currency
having count(kept_id) <> count(*) or sum(kept_amount) is distinct from sum(amount)
order by currency
