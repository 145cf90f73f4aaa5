begin;
with ins as (
    insert into fact_stock_daily
    select day, sku, warehouse, on_hand from stg_stock where day = current_setting('app.day')::date
    on conflict (day, sku, warehouse) do update set on_hand = excluded.on_hand
    returning xmax = 0 as inserted
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated, rows_affected, status)
select current_setting('app.flow_run_id'), 'stock_copied_task', 'crm', 'fact_stock_daily', current_setting('app.day'),
       count(*) filter (where inserted), count(*) filter (where not inserted), count(*), 'success'
from ins;
truncate table stg_stock;
commit;
