-- Daily snapshot: one partition-like slice a day, replaced by the extract of that day only.
WITH p AS (SELECT current_setting('app.day')::date AS day),
del AS (
    DELETE FROM fact_stock_daily f USING p
    WHERE f.day = p.day
      AND NOT EXISTS (SELECT FROM stg_stock s WHERE (s.day, s.sku, s.warehouse) = (f.day, f.sku, f.warehouse))
    RETURNING f.sku
),
ins AS (
    INSERT INTO fact_stock_daily (day, sku, warehouse, on_hand)
    SELECT s.day, s.sku, s.warehouse, s.on_hand FROM stg_stock s JOIN p USING (day)
    ON CONFLICT ON CONSTRAINT fact_stock_daily_pkey
    DO UPDATE SET on_hand = EXCLUDED.on_hand
    WHERE fact_stock_daily.on_hand IS DISTINCT FROM EXCLUDED.on_hand
    RETURNING CASE WHEN xmax = 0 THEN 1 ELSE 0 END AS is_new
),
tot AS (
    SELECT coalesce(sum(is_new), 0) AS i, count(*) - coalesce(sum(is_new), 0) AS u,
           (SELECT count(*) FROM del) AS d
    FROM ins
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated,
                              rows_deleted, rows_affected, status, started_at, finished_at, duration_seconds)
SELECT current_setting('app.flow_run_id'), 'stock_task', 'crm', 'fact_stock_daily', current_setting('app.day'),
       i, u, d, i + u + d, 'success', now(), clock_timestamp(), extract(epoch FROM clock_timestamp() - now())
FROM tot;
