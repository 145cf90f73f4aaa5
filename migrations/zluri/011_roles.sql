-- 011_roles: one row a role, newest record wins; skipped on a day without `roles`.
-- description: roles, newest record of each
begin;

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key,
        is_loaded('roles') as is_loaded,
        now() as started_at

),

newest as (

    select distinct on (role_id)
        role_id,
        name,
        description,
        is_default,
        agent_type,
        created_at,
        updated_at,
        (select day_order(current_setting('app.day'))) as version_key
    from stg_roles
    where day = current_setting('app.day')
    order by
        role_id,
        updated_at desc nulls last,
        source_file desc,
        position desc

),

-- Only what is new or differs goes on: an unchanged row is not even locked.
changed as (

    select newest.*
    from newest
    left join roles as current on current.role_id = newest.role_id
    where current.role_id is null or (
        (coalesce(newest.updated_at, '-infinity'), newest.version_key)
        >= (coalesce(current.updated_at, '-infinity'), current.version_key)
        and (
            newest.name,
            newest.description,
            newest.is_default,
            newest.agent_type,
            newest.created_at,
            newest.updated_at,
            newest.version_key
        ) is distinct from (
            current.name,
            current.description,
            current.is_default,
            current.agent_type,
            current.created_at,
            current.updated_at,
            current.version_key
        )
    )

),

upserted as (

    insert into roles as target (
        role_id,
        name,
        description,
        is_default,
        agent_type,
        created_at,
        updated_at,
        version_key
    )
    select
        changed.role_id,
        changed.name,
        changed.description,
        changed.is_default,
        changed.agent_type,
        changed.created_at,
        changed.updated_at,
        changed.version_key
    from changed
    cross join context
    where context.is_loaded
    on conflict (role_id) do update
    set
        name = excluded.name,
        description = excluded.description,
        is_default = excluded.is_default,
        agent_type = excluded.agent_type,
        created_at = excluded.created_at,
        updated_at = excluded.updated_at,
        version_key = excluded.version_key
    where (coalesce(excluded.updated_at, '-infinity'), excluded.version_key)
        >= (coalesce(target.updated_at, '-infinity'), target.version_key)
    returning (xmax = 0) as inserted

),

metrics as (

    select
        count(*) filter (where inserted) as inserted,
        count(*) filter (where not inserted) as updated,
        0 as deleted
    from upserted

),

-- Read from metrics, so that the clock is looked at after the work.
finished as (select metrics.*, clock_timestamp() as finished_at from metrics)

insert into pipeline_metrics (
    flow_run_id,
    task_name,
    pipeline_name,
    table_name,
    day,
    rows_inserted,
    rows_updated,
    rows_deleted,
    rows_affected,
    status,
    started_at,
    finished_at,
    duration_seconds
)
select
    context.flow_run_id,
    'roles_task',
    'roles',
    'roles',
    context.day,
    finished.inserted,
    finished.updated,
    finished.deleted,
    finished.inserted + finished.updated + finished.deleted,
    case when context.is_loaded then 'success' else 'skipped' end,
    context.started_at,
    finished.finished_at,
    extract(epoch from finished.finished_at - context.started_at)
from finished
cross join context;

commit;
