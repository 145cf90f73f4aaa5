begin;
create temp table latest as
select * from stg_members where updated_at > now() - interval '1 day';
update members set plan = latest.plan from latest where latest.member_id = members.member_id;
insert into members select member_id, email, plan, updated_at from latest
where member_id not in (select member_id from members);
commit;
begin;
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_affected, status)
select gen_random_uuid(), 'members', 'members', current_date, count(*), count(*), 'ok' from latest;
commit;
