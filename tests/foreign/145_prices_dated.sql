-- SCD2: close the current version, open a new one on the day of the extract.
BEGIN;
CREATE TEMP TABLE changed ON COMMIT DROP AS
SELECT s.sku, s.price, s.day
  FROM stg_prices s
  LEFT JOIN dim_price d ON d.sku = s.sku AND d.valid_to = 'infinity'
 WHERE s.day = current_setting('app.day')::date
   AND d.price IS DISTINCT FROM s.price;

CREATE TEMP TABLE closed ON COMMIT DROP AS
WITH x AS (
    UPDATE dim_price d SET valid_to = c.day
      FROM changed c
     WHERE d.sku = c.sku AND d.valid_to = 'infinity'
    RETURNING d.sku
) SELECT * FROM x;

WITH opened AS (
    INSERT INTO dim_price (sku, price, valid_from)
    SELECT sku, price, day FROM changed
    RETURNING sku
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
    rows_inserted, rows_updated, rows_affected, status)
SELECT current_setting('app.flow_run_id'), 'prices_dated_task', 'crm', 'dim_price', current_setting('app.day'),
    (SELECT count(*) FROM opened), (SELECT count(*) FROM closed),
    (SELECT count(*) FROM opened) + (SELECT count(*) FROM closed), 'success';
COMMIT;
