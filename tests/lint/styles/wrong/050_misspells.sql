with up as (
    update teams set nmae = s.name
    from stg_team s
    where s.team_id = teams.team_id and s.name is distinct from teams.title
    returning 1
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_updated, rows_affected, status)
select current_setting('app.flow_run_id'), 'misspells_task', 'teams', current_setting('app.day'), count(*), count(*),
    'success'
from up;
