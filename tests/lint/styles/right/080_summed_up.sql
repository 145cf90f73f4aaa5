-- Guards by 'not exists' and by rows; inserts summed up.
with s as (select distinct on (member_id) member_id, email, plan, updated_at from stg_members where day = current_setting('app.day') order by 1, updated_at desc, source_file desc, position desc),
ins as (insert into members as t (member_id, email, plan, updated_at) select * from s
 where not exists (select 1 from members m where m.member_id = s.member_id and m.updated_at > s.updated_at)
 on conflict (member_id) do update set (email, plan, updated_at) = (excluded.email, excluded.plan, excluded.updated_at)
 where (t.email, t.plan, t.updated_at) is distinct from (excluded.email, excluded.plan, excluded.updated_at) returning case when xmax = 0 then 1 else 0 end as i)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_updated, rows_affected, status)
select current_setting('app.flow_run_id'), 'summed_up_task', 'members', current_setting('app.day'), coalesce(sum(i), 0), count(*) - coalesce(sum(i), 0), count(*), 'success' from ins;
