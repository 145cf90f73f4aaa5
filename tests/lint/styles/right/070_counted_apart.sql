-- Scalar subqueries for the counts; whole rows compared.
with s as (select team_id, max(name) as name, max(parent_id) as parent_id, max(updated_at) as updated_at from stg_teams where day = current_setting('app.day') group by 1),
c as (select s.* from s left join teams t on t.team_id = s.team_id where t.team_id is null or (row(s.*) is distinct from row(t.team_id, t.name, t.parent_id, t.updated_at) and s.updated_at >= t.updated_at)),
ins as (insert into teams as t (team_id, name, parent_id, updated_at) select * from c on conflict (team_id) do update set name = excluded.name, parent_id = excluded.parent_id, updated_at = excluded.updated_at returning (xmax = 0) as inserted)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_updated, rows_affected, status)
values (current_setting('app.flow_run_id'), 'counted_apart_task', 'teams', current_setting('app.day'),
 (select count(*) from ins where inserted), (select count(*) from ins where not inserted), (select count(*) from ins), 'success');
