BEGIN;
INSERT INTO teams (team_id, name, as_of)
SELECT team_id, name, day FROM stg_teams WHERE day = current_setting('app.day')::date
ON CONFLICT (team_id) DO NOTHING;

-- Rebuild memberships of all teams that have members today
CREATE TEMP TABLE new_members AS
SELECT team_id, unnest(members) AS user_id FROM stg_teams WHERE day = current_setting('app.day')::date;

DELETE FROM team_members WHERE team_id IN (SELECT team_id FROM new_members);
INSERT INTO team_members SELECT DISTINCT team_id, user_id FROM new_members;

INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status)
SELECT current_setting('app.flow_run_id'), 'members_replaced_task', 'crm', 'team_members', current_setting('app.day'),
       count(*), count(*), 'success'
FROM new_members;
DROP TABLE new_members;
COMMIT;
