-- 011_roles: one row a role, newest record wins; skipped on a day without `roles`.
-- description: roles, newest record of each
begin;

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        is_loaded('roles') as is_loaded,
        now() as started_at

),

staged as (

    select
        role_id,
        name,
        description,
        is_default,
        agent_type,
        created_at,
        updated_at,
        source_file,
        position,
        -- In a subquery of its own, so that it is worked out once and not for each row.
        (select day_order(current_setting('app.day'))) as version_key
    from stg_roles
    where day = current_setting('app.day')

),

-- Only what is new or differs goes on: an unchanged row is neither sorted nor locked.
-- A record that is newer and says the same is a change, too: what comes late must lose to it.
changed as (

    select
        staged.*,
        current.role_id is not null
            and current.updated_at is not distinct from staged.updated_at
            and current.version_key = staged.version_key as is_correction
    from staged
    left join roles as current on current.role_id = staged.role_id
    where current.role_id is null or (
        -- First what is false for most rows.
        (
            staged.name,
            staged.description,
            staged.is_default,
            staged.agent_type,
            staged.created_at,
            staged.updated_at,
            staged.version_key
        ) is distinct from (
            current.name,
            current.description,
            current.is_default,
            current.agent_type,
            current.created_at,
            current.updated_at,
            current.version_key
        )
        and (coalesce(staged.updated_at, '-infinity'), staged.version_key)
            >= (coalesce(current.updated_at, '-infinity'), current.version_key)
    )

),

-- What differs from the stored row of the same day and time may do so because it is superseded by
-- the very record that is stored, and that one was left out above.
superseded as (

    select
        changed.role_id,
        changed.source_file,
        changed.position
    from changed
    inner join stg_roles as later on later.role_id = changed.role_id
    where changed.is_correction
        and later.day = current_setting('app.day')
        and later.updated_at is not distinct from changed.updated_at
        and (later.source_file, later.position) > (changed.source_file, changed.position)

),

-- The day's other records of a role are superseded, too. What else differs is not even looked
-- for among the superseded: `not in` is worked out when the first correction asks for it.
newest as (

    select distinct on (role_id) *
    from changed
    where not is_correction
        or (role_id, source_file, position) not in (select role_id, source_file, position from superseded)
    order by
        role_id,
        updated_at desc nulls last,
        source_file desc,
        position desc

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
        newest.role_id,
        newest.name,
        newest.description,
        newest.is_default,
        newest.agent_type,
        newest.created_at,
        newest.updated_at,
        newest.version_key
    from newest
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
