SET work_mem = '64MB';
WITH up AS (
    INSERT INTO members (member_id, email, plan, updated_at)
    SELECT DISTINCT ON (member_id) member_id, email, plan, updated_at
    FROM stg_members
    ORDER BY member_id, updated_at DESC
    ON CONFLICT (member_id) DO UPDATE SET email = EXCLUDED.email, plan = EXCLUDED.plan, updated_at = EXCLUDED.updated_at
    RETURNING member_id
)
INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status)
SELECT current_setting('app.flow_run_id'), 'truncates_task', 'members', 'members', current_setting('app.day'),
    count(*), count(*), 'success'
FROM up;
TRUNCATE stg_members;
