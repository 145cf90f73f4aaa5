with latest as (
    select customer_id, email, full_name, credit_limit, modified_at, day from (
    select *, row_number() over (partition by customer_id order by modified_at desc) as rn
    from stg_customers
    where day = current_setting('app.day')::date) x where rn = 1
), upserted as (
    insert into dim_customer as d (customer_id, email, full_name, credit_limit, modified_at, loaded_day)
    select * from latest
    on conflict (customer_id) do nothing
    returning 1
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status)
select current_setting('app.flow_run_id'), 'pick_task', 'crm', 'dim_customer', current_setting('app.day'), count(*), count(*), 'success' from upserted;
