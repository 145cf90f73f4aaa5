-- Upsert customers.
begin;
set work_mem = '64MB';

with latest as (
    select *, row_number() over (partition by customer_id order by modified_at desc) as rn
    from stg_customers
    where day = current_setting('app.day')::date
), upserted as (
    insert into dim_customer (customer_id, email, full_name, credit_limit, modified_at, loaded_day)
    select customer_id, lower(email), full_name, credit_limit, modified_at, day
    from latest
    where rn = 1
    on conflict (customer_id) do update set
        email = excluded.email,
        full_name = excluded.full_name,
        credit_limit = excluded.credit_limit,
        modified_at = excluded.modified_at,
        loaded_day = excluded.loaded_day
    returning customer_id
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status, started_at, finished_at)
select current_setting('app.flow_run_id'), 'customers_naive_task', 'crm', 'dim_customer', current_setting('app.day'),
       count(*), count(*), 'success', now(), now()
from latest where rn = 1;
commit;
