-- 010_agents: one row an agent, newest record wins; who was there on which day.
-- An agent is active where the latest applied day's `agents` names it, and a record that is
-- rejected for anything but its id still names it.
-- description: agents, their presence by day, and who is active
begin;

-- What the plans below need to know is how large a table is, for which a small sample will do.
set local default_statistics_target = 10;

-- Each worker would collect nearly all of the day's ids again.
set local max_parallel_workers_per_gather = 0;

select require_loaded('agents');

-- What is new or differs, one record an agent: the newest of either source, `agents` before
-- `agent_details`, then the last in file order. An unchanged row is neither sorted nor locked.
-- A record that is newer and says the same is a change, too: what comes late must lose to it.
-- A table, because a count of its rows is what keeps the plans below right.
create temporary table newest_agents on commit drop as
with changed as (

    select
        -- All columns in the table's own order: a partition is then read without copying each row.
        staged.*,
        null::bigint[] as role_ids,
        1::smallint as version_source,
        -- In a subquery of its own, so that it is worked out once and not for each row.
        (select day_order(current_setting('app.day'))) as version_key,
        current.agent_id is null as is_new,
        current.agent_id is not null
            and current.updated_at is not distinct from staged.updated_at
            and current.version_source = 1
            and current.version_key = (select day_order(current_setting('app.day'))) as is_correction
    from stg_agents as staged
    left join agents as current on current.agent_id = staged.agent_id
    where staged.day = current_setting('app.day')
        and (
            current.agent_id is null
            -- First what is false for most rows.
            or (staged.content_hash, 1, (select day_order(current_setting('app.day'))))
                is distinct from (current.content_hash, current.version_source, current.version_key)
            and (coalesce(staged.updated_at, '-infinity'), (select day_order(current_setting('app.day'))), 1)
                >= (coalesce(current.updated_at, '-infinity'), current.version_key, current.version_source)
        )

    union all

    select
        staged.*,
        0::smallint as version_source,
        (select day_order(current_setting('app.day'))) as version_key,
        current.agent_id is null as is_new,
        current.agent_id is not null
            and current.updated_at is not distinct from staged.updated_at
            and current.version_source = 0
            and current.version_key = (select day_order(current_setting('app.day'))) as is_correction
    from stg_agent_details as staged
    left join agents as current on current.agent_id = staged.agent_id
    where staged.day = current_setting('app.day')
        and (
            current.agent_id is null
            -- First what is false for most rows.
            or (staged.content_hash, 0, (select day_order(current_setting('app.day'))))
                is distinct from (current.content_hash, current.version_source, current.version_key)
            and (coalesce(staged.updated_at, '-infinity'), (select day_order(current_setting('app.day'))), 0)
                >= (coalesce(current.updated_at, '-infinity'), current.version_key, current.version_source)
        )

)

select distinct on (agent_id) *
from changed
order by
    agent_id,
    updated_at desc nulls last,
    version_source desc,
    source_file desc,
    position desc;

analyze newest_agents (agent_id, is_correction);

-- What differs from the stored row of the same day, time and source may do so because it is
-- superseded by the very record that is stored, and that one was left out above.
delete from newest_agents as newest
using (

    select agent_id, 1::smallint as version_source, updated_at, source_file, position
    from stg_agents
    where day = current_setting('app.day')

    union all

    select agent_id, 0::smallint as version_source, updated_at, source_file, position
    from stg_agent_details
    where day = current_setting('app.day')

) as later
where newest.is_correction
    and later.agent_id = newest.agent_id
    and later.version_source = newest.version_source
    and later.updated_at is not distinct from newest.updated_at
    and (later.source_file, later.position) > (newest.source_file, newest.position);

-- Who has a good record is known; whether one who only was rejected is, `agents` says.
create temporary table day_presence on commit drop as
with named as (

    select agent_id, true as is_active, true as has_record
    from stg_agents
    where day = (select current_setting('app.day'))

    union all

    select record_key::bigint as agent_id, true as is_active, false as has_record
    from stg_rejects
    where pipeline = 'zluri'
        and day = (select current_setting('app.day'))
        and entity = 'agents'
        and severity = 'reject'
        and record_key is not null

    union all

    select agent_id, false as is_active, true as has_record
    from stg_agent_details
    where day = (select current_setting('app.day'))

    -- Agents come nearly in this order, and are met in it wherever they are joined below.
    order by agent_id

),

presence as (

    select
        agent_id,
        bool_or(is_active) as is_active,
        bool_or(has_record) as has_record
    from named
    group by agent_id

)

select
    agent_id,
    is_active,
    has_record or exists (select from agents where agents.agent_id = presence.agent_id) as is_known
from presence;

analyze day_presence;

-- The ids that the latest day's snapshot names, the current day included. An id is in at most
-- one of the three: presence of other days is either known or unknown.
create temporary table active_agents on commit drop as
with context as materialized (

    select
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key

),

other_day as (

    select agent_days.day
    from agent_days
    cross join context
    where agent_days.day_key > context.day_key
    order by agent_days.day_key desc
    limit 1

)

select agent_id
from day_presence
where is_active and not exists (select from other_day)

union all

select agent_id
from agent_status_history
where is_active and day = (select day from other_day)

union all

select agent_id
from agent_presence_unknown
where day = (select day from other_day);

analyze active_agents;

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key,
        now() as started_at

),

upserted as (

    insert into agents as target (
        agent_id,
        email,
        name,
        job_title,
        language,
        mobile,
        phone,
        time_zone,
        last_login_at,
        org_agent_id,
        available,
        available_since,
        deactivated,
        focus_mode,
        agent_operational_status,
        ticket_scope,
        last_active_at,
        signature,
        freshchat_agent,
        created_at,
        updated_at,
        status,
        version_key,
        version_source
    )
    select
        newest.agent_id,
        newest.email,
        newest.name,
        newest.job_title,
        newest.language,
        newest.mobile,
        newest.phone,
        newest.time_zone,
        newest.last_login_at,
        newest.org_agent_id,
        newest.available,
        newest.available_since,
        newest.deactivated,
        newest.focus_mode,
        newest.agent_operational_status,
        newest.ticket_scope,
        newest.last_active_at,
        newest.signature,
        newest.freshchat_agent,
        newest.created_at,
        newest.updated_at,
        case when active.agent_id is null then 'inactive' else 'active' end,
        newest.version_key,
        newest.version_source
    from newest_agents as newest
    left join active_agents as active on active.agent_id = newest.agent_id
    -- In the order of its index: rows in the order of a hash would land all over it.
    order by newest.agent_id
    on conflict (agent_id) do update
    set
        email = excluded.email,
        name = excluded.name,
        job_title = excluded.job_title,
        language = excluded.language,
        mobile = excluded.mobile,
        phone = excluded.phone,
        time_zone = excluded.time_zone,
        last_login_at = excluded.last_login_at,
        org_agent_id = excluded.org_agent_id,
        available = excluded.available,
        available_since = excluded.available_since,
        deactivated = excluded.deactivated,
        focus_mode = excluded.focus_mode,
        agent_operational_status = excluded.agent_operational_status,
        ticket_scope = excluded.ticket_scope,
        last_active_at = excluded.last_active_at,
        signature = excluded.signature,
        freshchat_agent = excluded.freshchat_agent,
        created_at = excluded.created_at,
        updated_at = excluded.updated_at,
        status = excluded.status,
        version_key = excluded.version_key,
        version_source = excluded.version_source
    where (coalesce(excluded.updated_at, '-infinity'), excluded.version_key, excluded.version_source)
        >= (coalesce(target.updated_at, '-infinity'), target.version_key, target.version_source)
    returning (xmax = 0) as inserted

),

status_changes as (

    select
        current.agent_id,
        case when active.agent_id is null then 'inactive' else 'active' end as status
    from agents as current
    left join active_agents as active on active.agent_id = current.agent_id
    where (current.status = 'active') <> (active.agent_id is not null)
        and not exists (select from newest_agents as newest where newest.agent_id = current.agent_id)

),

-- Agents that come or go without a newer record; never a row of the upsert above.
restated as (

    update agents as target
    set status = status_changes.status
    from status_changes
    where target.agent_id = status_changes.agent_id
    returning target.agent_id

),

history_changes as (

    select
        coalesce(stored.agent_id, presence.agent_id) as agent_id,
        presence.is_active,
        presence.agent_id is null as is_gone
    from (select agent_id, is_active from day_presence where is_known) as presence
    full join (

        select agent_id, is_active
        from agent_status_history
        where day = (select current_setting('app.day'))

    ) as stored on stored.agent_id = presence.agent_id
    where presence.is_active is distinct from stored.is_active

),

history_upserted as (

    insert into agent_status_history as target (agent_id, day, is_active)
    select history_changes.agent_id, context.day, history_changes.is_active
    from history_changes
    cross join context
    where not history_changes.is_gone
    order by history_changes.agent_id
    on conflict (day, agent_id) do update
    set is_active = excluded.is_active
    where target.is_active <> excluded.is_active
    returning (xmax = 0) as inserted

),

history_deleted as (

    delete from agent_status_history as target
    using history_changes
    cross join context
    where target.day = context.day
        and target.agent_id = history_changes.agent_id
        and history_changes.is_gone
    returning target.agent_id

),

-- Presence on other days, of agents known from now on.
no_longer_unknown as (

    delete from agent_presence_unknown as target
    using newest_agents as newest
    cross join context
    where target.agent_id = newest.agent_id
        and newest.is_new
        and target.day <> context.day
    returning target.agent_id, target.day

),

moved as (

    insert into agent_status_history (agent_id, day, is_active)
    select agent_id, day, true
    from no_longer_unknown
    returning agent_id

),

unknown_changes as (

    select
        coalesce(stored.agent_id, presence.agent_id) as agent_id,
        presence.agent_id is null as is_gone
    from (select agent_id from day_presence where not is_known) as presence
    full join (

        select agent_id
        from agent_presence_unknown
        where day = (select current_setting('app.day'))

    ) as stored on stored.agent_id = presence.agent_id
    where presence.agent_id is null or stored.agent_id is null

),

unknown_inserted as (

    insert into agent_presence_unknown (agent_id, day)
    select unknown_changes.agent_id, context.day
    from unknown_changes
    cross join context
    where not unknown_changes.is_gone
    returning agent_id

),

unknown_deleted as (

    delete from agent_presence_unknown as target
    using unknown_changes
    cross join context
    where target.day = context.day
        and target.agent_id = unknown_changes.agent_id
        and unknown_changes.is_gone
    returning target.agent_id

),

day_added as (

    insert into agent_days (day, day_key)
    select context.day, context.day_key
    from context
    where not exists (select from agent_days where agent_days.day = context.day)
    returning day

),

written as (

    select
        count(*) filter (where inserted) as inserted,
        count(*) filter (where not inserted) as updated,
        0 as deleted
    from upserted

    union all

    select 0, count(*), 0
    from restated

    union all

    select count(*) filter (where inserted), count(*) filter (where not inserted), 0
    from history_upserted

    union all

    select 0, 0, count(*)
    from history_deleted

    union all

    select 0, 0, count(*)
    from no_longer_unknown

    union all

    select count(*), 0, 0
    from moved

    union all

    select count(*), 0, 0
    from unknown_inserted

    union all

    select 0, 0, count(*)
    from unknown_deleted

    union all

    select count(*), 0, 0
    from day_added

),

metrics as (

    select
        sum(inserted) as inserted,
        sum(updated) as updated,
        sum(deleted) as deleted
    from written

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
    'agents_task',
    'agents',
    'agents',
    context.day,
    finished.inserted,
    finished.updated,
    finished.deleted,
    finished.inserted + finished.updated + finished.deleted,
    'success',
    context.started_at,
    finished.finished_at,
    extract(epoch from finished.finished_at - context.started_at)
from finished
cross join context;

commit;
