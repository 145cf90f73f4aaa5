-- Memberships by delete and insert, each of other keys, in one statement.
with listed as (
    select distinct on (team_id) team_id, member_ids
    from stg_teams
    where day = current_setting('app.day')
    order by team_id, updated_at desc nulls last, source_file desc, position desc
),
wanted as (
    select distinct l.team_id, m.id as member_id
    from listed l, unnest(l.member_ids) as m(id)
    where exists (select 1 from members where members.member_id = m.id)
),
gone as (
    delete from team_members tm
    using listed l
    where tm.team_id = l.team_id
      and not exists (select 1 from wanted w where w.team_id = tm.team_id and w.member_id = tm.member_id)
    returning tm.team_id
),
added as (
    insert into team_members (team_id, member_id)
    select team_id, member_id from wanted
    on conflict do nothing
    returning team_id
),
totals as (
    select (select count(*) from added) as ins, (select count(*) from gone) as del
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_deleted,
                              rows_affected, status, started_at)
select current_setting('app.flow_run_id'), 'memberships_task', 'memberships', 'team_members', current_setting('app.day'),
       ins, del, ins + del, 'success', current_timestamp
from totals;
