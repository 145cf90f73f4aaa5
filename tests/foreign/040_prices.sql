-- SCD type 2. The price points are kept, and the periods are derived from all of them, so days may come late.
CREATE TEMPORARY TABLE new_points ON COMMIT DROP AS
WITH merged AS (
    INSERT INTO price_points AS p (sku, day, price)
    SELECT sku, day, price FROM stg_prices WHERE day = current_setting('app.day')::date
    ON CONFLICT (sku, day) DO UPDATE SET price = EXCLUDED.price WHERE p.price <> EXCLUDED.price
    RETURNING (xmax = 0) AS inserted
)
SELECT * FROM merged;

WITH touched AS (
    SELECT DISTINCT sku FROM stg_prices WHERE day = current_setting('app.day')::date
), marked AS (
    SELECT sku, day, price,
           lag(price) OVER (PARTITION BY sku ORDER BY day) AS before
      FROM price_points JOIN touched USING (sku)
), starts AS (
    SELECT sku, price, day AS valid_from,
           coalesce(lead(day) OVER (PARTITION BY sku ORDER BY day), 'infinity') AS valid_to
      FROM marked
     WHERE before IS DISTINCT FROM price
), gone AS (
    DELETE FROM dim_price d
     USING touched t
     WHERE d.sku = t.sku
       AND NOT EXISTS (SELECT 1 FROM starts s WHERE s.sku = d.sku AND s.valid_from = d.valid_from)
    RETURNING 1
), put AS (
    INSERT INTO dim_price AS d (sku, price, valid_from, valid_to)
    SELECT sku, price, valid_from, valid_to FROM starts
    ON CONFLICT (sku, valid_from) DO UPDATE SET price = EXCLUDED.price, valid_to = EXCLUDED.valid_to
    WHERE (d.price, d.valid_to) IS DISTINCT FROM (EXCLUDED.price, EXCLUDED.valid_to)
    RETURNING (xmax = 0) AS inserted
), n AS (
    SELECT (SELECT count(*) FROM new_points WHERE inserted) + (SELECT count(*) FROM put WHERE inserted) AS i,
           (SELECT count(*) FROM new_points WHERE NOT inserted) + (SELECT count(*) FROM put WHERE NOT inserted) AS u,
           (SELECT count(*) FROM gone) AS d
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
    rows_inserted, rows_updated, rows_deleted, rows_affected, status, finished_at)
SELECT current_setting('app.flow_run_id'), 'prices_task', 'crm', 'dim_price', current_setting('app.day'),
    i, u, d, i + u + d, 'success', clock_timestamp()
FROM n;
