with newest as (
    select distinct on (team_id) * from stg_teams
    where day = current_setting('app.day')
    order by team_id, updated_at desc nulls last, source_file desc, position desc
),
memberships as (
    insert into team_members (team_id, member_id)
    select team_id, unnest(member_ids) from newest
    on conflict do nothing
    returning team_id
),
sizes as (
    select team_id, count(*)::int as depth from team_members group by team_id
),
updated as (
    update teams set depth = sizes.depth from sizes
    where sizes.team_id = teams.team_id and teams.depth is distinct from sizes.depth
    returning 1
),
metrics as (select (select count(*) from memberships) as i, (select count(*) from updated) as u)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_updated, rows_affected, status)
select current_setting('app.flow_run_id'), 'recomputes_task', 'teams', current_setting('app.day'), i, u, i + u, 'success'
from metrics;
