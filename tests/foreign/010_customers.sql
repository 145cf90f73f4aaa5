/* Load dim_customer -- type 1, last modification wins. */
BEGIN;

WITH src AS (
    SELECT DISTINCT ON (s.customer_id) s.*
    FROM stg_customers s
    WHERE s.day = current_setting('app.day')::date
    ORDER BY s.customer_id, s.modified_at DESC NULLS LAST, s.row_no DESC
), ups AS (
    INSERT INTO dim_customer AS d (customer_id, email, full_name, credit_limit, modified_at, loaded_day)
    SELECT customer_id, lower(email), full_name, credit_limit, modified_at, day
    FROM src
    ON CONFLICT (customer_id) DO UPDATE
       SET email        = EXCLUDED.email,
           full_name    = EXCLUDED.full_name,
           credit_limit = EXCLUDED.credit_limit,
           modified_at  = EXCLUDED.modified_at,
           loaded_day   = EXCLUDED.loaded_day
     WHERE (COALESCE(EXCLUDED.modified_at, '-infinity'), EXCLUDED.loaded_day)
        >= (COALESCE(d.modified_at, '-infinity'), d.loaded_day)
       AND ROW(d.email, d.full_name, d.credit_limit, d.modified_at, d.loaded_day)
           IS DISTINCT FROM
           ROW(EXCLUDED.email, EXCLUDED.full_name, EXCLUDED.credit_limit, EXCLUDED.modified_at, EXCLUDED.loaded_day)
    RETURNING (xmax = 0) AS is_insert
), cnt AS (
    SELECT count(*) FILTER (WHERE is_insert)     AS ins,
           count(*) FILTER (WHERE NOT is_insert) AS upd
    FROM ups
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
                              rows_inserted, rows_updated, rows_affected, status, started_at, finished_at)
SELECT current_setting('app.flow_run_id'), 'customers_task', 'crm', 'dim_customer', current_setting('app.day'),
       ins, upd, ins + upd, 'success', now(), clock_timestamp()
FROM cnt;

COMMIT;
