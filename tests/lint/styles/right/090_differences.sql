-- Differences first, in temporary tables; then update and insert, each of its own rows.
begin;
create temp table src on commit drop as
select member_id, email, plan, updated_at from (select s.*, row_number() over w as rn from stg_members s where day = current_setting('app.day') window w as (partition by member_id order by updated_at desc nulls last, source_file desc, position desc)) x where rn = 1;
create unique index on src (member_id);
create temp table diff on commit drop as
select src.*, m.member_id is null as is_new from src left join members m using (member_id)
where m is null or (m.updated_at < src.updated_at and (m.email, m.plan) is distinct from (src.email, src.plan));
with u as (update members m set email = d.email, plan = d.plan, updated_at = d.updated_at from diff d where d.member_id = m.member_id and not d.is_new returning 1),
i as (insert into members (member_id, email, plan, updated_at) select member_id, email, plan, updated_at from diff where is_new returning 1),
gone as (update members set plan = 'none' where plan <> 'none' and not exists (select from src where src.member_id = members.member_id) returning 1)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_updated, rows_affected, status, started_at, finished_at)
select f, 'differences_task', 'members', d, i.n, u.n + g.n, i.n + u.n + g.n, 'success', now(), clock_timestamp()
from (select current_setting('app.flow_run_id') f, current_setting('app.day') d) ctx, (select count(*) n from i) i, (select count(*) n from u) u, (select count(*) n from gone) g;
commit;
