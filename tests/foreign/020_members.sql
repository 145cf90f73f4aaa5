-- Replace the member lists of the teams in today's extract; a team keeps the list of its latest extract.
CREATE TEMP TABLE fresh ON COMMIT DROP AS
SELECT s.team_id, s.name, s.members, s.day
  FROM stg_teams s
  LEFT JOIN teams t ON t.team_id = s.team_id
 WHERE s.day = current_setting('app.day')::date
   AND (t.team_id IS NULL OR s.day >= t.as_of);

CREATE TEMP TABLE done (what text NOT NULL, n bigint NOT NULL) ON COMMIT DROP;

WITH u AS (
    INSERT INTO teams AS t (team_id, name, as_of)
    SELECT team_id, name, day FROM fresh
    ON CONFLICT (team_id) DO UPDATE SET name = EXCLUDED.name, as_of = EXCLUDED.as_of
    WHERE EXCLUDED.as_of >= t.as_of AND (t.name, t.as_of) IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.as_of)
    RETURNING xmax::text::bigint = 0 AS is_new
)
INSERT INTO done
SELECT CASE WHEN is_new THEN 'i' ELSE 'u' END, count(*) FROM u GROUP BY 1;

WITH d AS (
    DELETE FROM team_members m
     USING fresh f
     WHERE m.team_id = f.team_id
       AND m.user_id <> ALL (f.members)
    RETURNING 1
)
INSERT INTO done SELECT 'd', count(*) FROM d;

WITH i AS (
    INSERT INTO team_members (team_id, user_id)
    SELECT DISTINCT f.team_id, x.user_id
      FROM fresh f CROSS JOIN LATERAL unnest(f.members) AS x (user_id)
    ON CONFLICT DO NOTHING
    RETURNING 1
)
INSERT INTO done SELECT 'i', count(*) FROM i;

INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
                              rows_inserted, rows_updated, rows_deleted, rows_affected, status, finished_at)
SELECT current_setting('app.flow_run_id'), 'members_task', 'crm', 'team_members', current_setting('app.day'),
       coalesce(sum(n) FILTER (WHERE what = 'i'), 0),
       coalesce(sum(n) FILTER (WHERE what = 'u'), 0),
       coalesce(sum(n) FILTER (WHERE what = 'd'), 0),
       coalesce(sum(n), 0),
       'success', clock_timestamp()
  FROM done;
