-- Statement by statement, the counts kept in a temporary table until the end.
begin;
create temporary table counts (kind text, n bigint) on commit drop;

with old as (select member_id from members),
ins as (
    insert into members (member_id, email, plan, updated_at)
    select s.member_id, max(s.email), max(s.plan), max(s.updated_at)
    from stg_members as s
    where s.day = current_setting('app.day')
      and not exists (select from members m where m.member_id = s.member_id)
    group by s.member_id
    returning member_id
)
insert into counts select 'inserted', count(*) from ins where member_id not in (select member_id from old);

with upd as (
    update members m
    set plan = s.plan, updated_at = s.updated_at
    from (
        select member_id, plan, updated_at,
            row_number() over (partition by member_id order by updated_at desc, source_file, position) as place
        from stg_members
        where day = current_setting('app.day')
    ) s
    where s.place = 1
      and m.member_id = s.member_id
      and s.updated_at > m.updated_at
      and s.plan is distinct from m.plan
    returning m.member_id
)
insert into counts select 'updated', count(*) from upd;

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated,
    rows_affected, status)
select current_setting('app.flow_run_id'), 'kept_counts_task', 'members', 'members', current_setting('app.day'),
    sum(n) filter (where kind = 'inserted'), sum(n) filter (where kind = 'updated'), sum(n), 'success'
from counts;
commit;
