-- The merge of the standard, which says itself what it did to each row.
with src as (
    select distinct on (s.team_id) s.team_id, s.name, s.parent_id, s.updated_at
    from stg_teams as s
    where s.day = current_setting('app.day')
    order by s.team_id, s.updated_at desc nulls last, s.source_file desc, s.position desc
), merged as (
    merge into teams as t
    using src on t.team_id = src.team_id
    when matched and coalesce(src.updated_at, '-infinity') >= coalesce(t.updated_at, '-infinity')
        and (src.name, src.parent_id, src.updated_at) is distinct from (t.name, t.parent_id, t.updated_at)
        then update set name = src.name, parent_id = src.parent_id, updated_at = src.updated_at
    when not matched
        then insert (team_id, name, parent_id, updated_at) values (src.team_id, src.name, src.parent_id, src.updated_at)
    returning merge_action() as action
)
insert into pipeline_metrics
    (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated, rows_affected, status)
select current_setting('app.flow_run_id'), 'merge_task', 'merge', 'teams', current_setting('app.day'),
    count(*) filter (where action = 'INSERT'), count(*) filter (where action = 'UPDATE'), count(*), 'success'
from merged;
