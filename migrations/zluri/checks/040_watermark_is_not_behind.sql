-- check: 040_transactions
-- severity: error
-- description: a watermark that is older than the newest update of the day
with seen as (

    select max(updated_time) as newest_update
    from stg_transactions
    where day = current_setting('app.day')

)

select
    seen.newest_update,
    state.last_processed_time as watermark
from seen
left join transaction_pipeline_state as state on state.pipeline_name = 'transactions'
where seen.newest_update is not null
    and seen.newest_update > coalesce(state.last_processed_time, '-infinity')
