-- The root and depth of each team by a recursive expression; only teams that move are updated.
begin;
create temp table t_tree on commit drop as
with recursive walk (team_id, root_id, depth, path) as (
    select t.team_id, t.team_id, 0, array[t.team_id]
    from teams t
    where t.parent_id is null
    union all
    select c.team_id, w.root_id, w.depth + 1, w.path || c.team_id
    from walk w
    join teams c on c.parent_id = w.team_id
    where c.team_id <> all (w.path)
)
select distinct on (team_id) team_id, root_id, depth
from walk
order by team_id, depth, root_id;

alter table t_tree add primary key (team_id);

with moved as (
    update teams t
    set (root_id, depth) = (tree.root_id, tree.depth)
    from t_tree tree
    where tree.team_id = t.team_id
      and (t.root_id, t.depth) is distinct from (tree.root_id, tree.depth)
    returning 1
), n as (select count(*) as updated from moved)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_updated, rows_affected, status,
    started_at, finished_at, duration_seconds)
select current_setting('app.flow_run_id', true), 'tree_task', 'tree', 'teams', current_setting('app.day', true),
    n.updated, n.updated, 'success', now(), c.t, extract(epoch from c.t - now())
from n, lateral (select clock_timestamp() + n.updated * interval '0') as c(t);
commit;
