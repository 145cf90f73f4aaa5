begin;
with wanted as (
    select team_id, unnest(member_ids) as member_id from stg_teams where day = current_setting('app.day')
),
del as (
    delete from team_members where team_id in (select team_id from wanted) returning 1
),
ins as (
    insert into team_members select distinct team_id, member_id from wanted returning 1
),
metrics as (select (select count(*) from ins) as i, (select count(*) from del) as d)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_deleted,
    rows_affected, status, started_at, finished_at)
select current_setting('app.flow_run_id'), 'replaces_members_task', 'members', 'team_members',
    current_setting('app.day'), i, d, i + d, 'success', now(), now()
from metrics;
commit;
