WITH m AS (
    MERGE INTO suppliers AS t
    USING (SELECT * FROM stg_suppliers WHERE day = current_setting('app.day')::date AND NOT deleted) AS s
       ON t.supplier_id = s.supplier_id
    WHEN MATCHED AND s.day >= t.as_of AND (t.name, t.city, t.as_of) IS DISTINCT FROM (s.name, s.city, s.day) THEN
        UPDATE SET name = s.name, city = s.city, as_of = s.day
    WHEN NOT MATCHED THEN
        INSERT (supplier_id, name, city, as_of) VALUES (s.supplier_id, s.name, s.city, s.day)
    RETURNING merge_action() AS act
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
                              rows_inserted, rows_updated, rows_affected, status, finished_at)
SELECT current_setting('app.flow_run_id'), 'suppliers_task', 'crm', 'suppliers', current_setting('app.day'),
       count(*) FILTER (WHERE act = 'INSERT'), count(*) FILTER (WHERE act = 'UPDATE'), count(*), 'success', clock_timestamp()
FROM m;
