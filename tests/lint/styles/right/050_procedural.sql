-- A block that counts by itself and tells the metrics through settings of the transaction.
START TRANSACTION;
do $$
declare
    n bigint;
begin
    insert into members (member_id, email, plan, updated_at)
    select member_id, min(email), min(plan), max(updated_at)
    from stg_members
    where day = current_setting('app.day')
    group by member_id
    on conflict (member_id) do nothing;
    get diagnostics n = row_count;
    perform set_config('app.inserted', n::text, true);
end
$$;
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_affected, status)
values (current_setting('app.flow_run_id'), 'procedural_task', 'members', current_setting('app.day'),
    current_setting('app.inserted')::bigint, current_setting('app.inserted')::bigint, 'success');
END;
