begin transaction;

create temp table changes on commit drop as
with up as (
  insert into departments as d (dept_id, parent_id, name, headcount, as_of)
  select dept_id, parent_id, name, headcount, day
    from stg_departments
   where day = current_setting('app.day')::date
  on conflict (dept_id) do update
    set parent_id = excluded.parent_id, name = excluded.name,
        headcount = excluded.headcount, as_of = excluded.as_of
  where excluded.as_of > d.as_of
     or (excluded.as_of = d.as_of
         and (excluded.parent_id, excluded.name, excluded.headcount)
             is distinct from (d.parent_id, d.name, d.headcount))
  returning d.dept_id, xmax = 0 as inserted
)
select * from up;

-- A department is empty when nobody works in it or anywhere below it.
with recursive below as (
  select dept_id as top, dept_id, headcount from departments
  union
  select b.top, c.dept_id, c.headcount
    from below b
    join departments c on c.parent_id = b.dept_id
), flag as (
  select top as dept_id, sum(headcount) = 0 as is_empty from below group by top
), upd as (
  update departments d
     set is_empty = f.is_empty
    from flag f
   where f.dept_id = d.dept_id
     and d.is_empty <> f.is_empty
  returning d.dept_id
), n as (
  select (select count(*) from changes where inserted) as ins,
         (select count(*) from (select dept_id from changes where not inserted
                                union
                                select dept_id from upd
                                where dept_id not in (select dept_id from changes where inserted)) x) as upd
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
  rows_inserted, rows_updated, rows_affected, status, finished_at)
select current_setting('app.flow_run_id'), 'departments_task', 'crm', 'departments', current_setting('app.day'),
  ins, upd, ins + upd, 'success', clock_timestamp()
from n;

end;
