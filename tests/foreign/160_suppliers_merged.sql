MERGE INTO suppliers t
USING (SELECT * FROM stg_suppliers WHERE day = current_setting('app.day')::date) s
   ON t.supplier_id = s.supplier_id
WHEN MATCHED AND s.deleted THEN DELETE
WHEN MATCHED AND (t.name <> s.name OR t.city <> s.city) THEN
    UPDATE SET name = s.name, city = s.city, as_of = s.day
WHEN NOT MATCHED AND NOT s.deleted THEN
    INSERT (supplier_id, name, city, as_of) VALUES (s.supplier_id, s.name, s.city, s.day);

INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_updated, rows_affected, status)
SELECT current_setting('app.flow_run_id'), 'suppliers_merged_task', 'crm', 'suppliers', current_setting('app.day'),
       count(*), count(*), 'success'
  FROM stg_suppliers WHERE day = current_setting('app.day')::date;
