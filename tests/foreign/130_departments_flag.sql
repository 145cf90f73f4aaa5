with recursive up as (
  insert into departments as d (dept_id, parent_id, name, headcount, as_of)
  select dept_id, parent_id, name, headcount, day
    from stg_departments
   where day = current_setting('app.day')::date
  on conflict (dept_id) do update
    set parent_id = excluded.parent_id, name = excluded.name, headcount = excluded.headcount, as_of = excluded.as_of
  where excluded.as_of >= d.as_of
    and (excluded.parent_id, excluded.name, excluded.headcount, excluded.as_of)
        is distinct from (d.parent_id, d.name, d.headcount, d.as_of)
  returning xmax = 0 as inserted
), below as (
  select dept_id as top, dept_id, headcount from departments
  union all
  select b.top, c.dept_id, c.headcount from below b join departments c on c.parent_id = b.dept_id
), upd as (
  update departments d set is_empty = (f.people = 0)
    from (select top, sum(headcount) as people from below group by top) f
   where f.top = d.dept_id and d.is_empty <> (f.people = 0)
  returning d.dept_id
), counts as (
  select (select count(*) from up where inserted) as i,
         (select count(*) from up where not inserted) + (select count(*) from upd) as u
)
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
  rows_inserted, rows_updated, rows_affected, status)
select current_setting('app.flow_run_id'), 'departments_flag_task', 'crm', 'departments', current_setting('app.day'),
  i, u, i + u, 'success'
from counts;
