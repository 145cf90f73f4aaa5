-- Statement by statement, the counts kept in settings of the transaction until the end.
with ins as (
    insert into members (member_id, email, plan, updated_at)
    select s.member_id, max(s.email), max(s.plan), max(s.updated_at)
    from stg_members as s
    where s.day = current_setting('app.day')
      and not exists (select from members m where m.member_id = s.member_id)
    group by s.member_id
    returning member_id
)
select set_config('members.inserted', count(*)::text, true) from ins;

with removed as (
    delete from team_members t
    where not exists (select from members m where m.member_id = t.member_id)
    returning 1
),
counted as (select count(*) as n from removed)
select set_config('Members.Deleted', (select n from counted)::text, true);

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_deleted,
    rows_affected, status)
select current_setting('app.flow_run_id'), 'kept_in_settings_task', 'members', 'members', current_setting('app.day'),
    current_setting('members.inserted')::bigint, current_setting('members.deleted')::bigint,
    current_setting('members.inserted')::bigint + current_setting('members.deleted')::bigint, 'success';
