-- check: 040_transactions
-- severity: error
-- description: transactions that are missing, or older than a record of the day
select
    staged.transaction_id,
    staged.updated_time,
    transactions.updated_time as stored_updated_time,
    staged.source_file,
    staged.position
from stg_transactions as staged
left join transactions on transactions.transaction_id = staged.transaction_id
where staged.day = current_setting('app.day')
    and (
        transactions.transaction_id is null
        or (coalesce(transactions.updated_time, '-infinity'), transactions.version_key)
            < (coalesce(staged.updated_time, '-infinity'), (select day_order(current_setting('app.day'))))
    )
order by staged.transaction_id
