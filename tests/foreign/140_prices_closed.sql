-- SCD2: close the current version, open a new one.
BEGIN;
WITH changed AS (
    SELECT s.sku, s.price
      FROM stg_prices s
      LEFT JOIN dim_price d ON d.sku = s.sku AND d.is_current
     WHERE s.day = current_setting('app.day')::date
       AND d.price IS DISTINCT FROM s.price
), closed AS (
    UPDATE dim_price d
       SET valid_to = CURRENT_DATE
      FROM changed c
     WHERE d.sku = c.sku AND d.is_current
    RETURNING d.sku
), opened AS (
    INSERT INTO dim_price (sku, price, valid_from)
    SELECT sku, price, CURRENT_DATE FROM changed
    RETURNING sku
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
    rows_inserted, rows_updated, rows_affected, status)
SELECT current_setting('app.flow_run_id'), 'prices_closed_task', 'crm', 'dim_price', current_setting('app.day'),
    (SELECT count(*) FROM opened), (SELECT count(*) FROM closed),
    (SELECT count(*) FROM opened) + (SELECT count(*) FROM closed), 'success';
COMMIT;
