-- 012_agent_roles: the roles of each agent, as its latest well-formed list has them.
-- A role that only an earlier list names is `removed`; a list that is no list says nothing.
-- Skipped on a day that has neither `agent_details` nor `roles`.
-- description: which agent has which role
-- table: agent_role_mapping
begin;

-- What the plans below need to know is how large a table is, for which a small sample will do.
set local default_statistics_target = 10;

-- The day's list of each agent, from its newest record alone: a superseded record's list counts
-- for nothing, even where the newest one's is malformed. Sorted, so that order is no change.
create temporary table day_role_lists on commit drop as
with newest as (

    select distinct on (agent_id)
        agent_id,
        role_ids
    from stg_agent_details
    where day = current_setting('app.day')
    order by
        agent_id,
        updated_at desc nulls last,
        source_file desc,
        position desc

)

select
    newest.agent_id,
    array(select distinct role_id from unnest(newest.role_ids) as named(role_id) order by role_id) as role_ids
from newest
where newest.role_ids is not null;

analyze day_role_lists;

-- What this day's lists become: an empty side is a list that is new or gone.
create temporary table history_changes on commit drop as
select
    coalesce(stored.agent_id, today.agent_id) as agent_id,
    today.role_ids,
    stored.role_ids as former_role_ids
from day_role_lists as today
full join (

    select agent_id, role_ids
    from agent_role_history
    where day = current_setting('app.day')

) as stored on stored.agent_id = today.agent_id
where today.role_ids is distinct from stored.role_ids
    and (is_loaded('agent_details') or is_loaded('roles'));

analyze history_changes (agent_id);

-- The roles of an agent can only change with its lists, or when one becomes known.
create temporary table touched_agents on commit drop as
select agent_id
from history_changes

union

select unknown.agent_id
from agent_role_unknown as unknown
inner join agents on agents.agent_id = unknown.agent_id
inner join roles on roles.role_id = unknown.role_id
where is_loaded('agent_details') or is_loaded('roles')

-- In the order in which pairs are written further down.
order by agent_id;

analyze touched_agents;

-- Every pair that any day names of these agents, the current day's lists taken as they are now.
create temporary table named_pairs on commit drop as
with context as materialized (

    select
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key

),

-- Pairs that this day named when it was applied before, and no day names any more. They are
-- few, and the history is long: the limit makes a look-up of each in its agent's own days.
lost as (

    select
        changes.agent_id,
        former.role_id
    from history_changes as changes
    cross join context
    cross join lateral unnest(changes.former_role_ids) as former(role_id)
    left join lateral (

        select true as is_named
        from agent_role_history as history
        where history.agent_id = changes.agent_id
            and history.day_key <> context.day_key
            and former.role_id = any (history.role_ids)
        limit 1

    ) as other_day on true
    where other_day.is_named is null
        and (changes.role_ids is null or former.role_id <> all (changes.role_ids))

),

-- Apart from what the day names for the first time, which is most of a first run and needs no sorting out.
stored_pairs as (

    select mapping.agent_id, mapping.role_id
    from agent_role_mapping as mapping
    inner join touched_agents as touched on touched.agent_id = mapping.agent_id

    union

    select unknown.agent_id, unknown.role_id
    from agent_role_unknown as unknown
    inner join touched_agents as touched on touched.agent_id = unknown.agent_id

),

-- Once more as lists, so that agents are looked up, which are fewer than pairs.
stored_roles as (

    select
        agent_id,
        array_agg(role_id) as role_ids
    from stored_pairs
    group by agent_id

),

pairs as (

    select agent_id, role_id
    from stored_pairs
    where not exists (

        select from lost
        where lost.agent_id = stored_pairs.agent_id and lost.role_id = stored_pairs.role_id

    )

    union all

    select changes.agent_id, named.role_id
    from history_changes as changes
    left join stored_roles on stored_roles.agent_id = changes.agent_id
    cross join lateral unnest(changes.role_ids) as named(role_id)
    where stored_roles.agent_id is null or named.role_id <> all (stored_roles.role_ids)

),

-- The latest list of each agent: the day's, or else one step down an index, whatever the
-- number of days. Materialized: once an agent, not once a pair.
latest as materialized (

    select
        touched.agent_id,
        case
            when today.agent_id is not null and coalesce(stored.day_key < context.day_key, true)
                then today.role_ids
            else stored.role_ids
        end as role_ids,
        exists (

            select from agent_role_mapping as mapping where mapping.agent_id = touched.agent_id

        ) as had_roles
    from touched_agents as touched
    cross join context
    left join day_role_lists as today on today.agent_id = touched.agent_id
    left join lateral (

        select
            history.day_key,
            history.role_ids
        from agent_role_history as history
        where history.agent_id = touched.agent_id
            and history.day_key <> context.day_key
        order by history.day_key desc
        limit 1

    ) as stored on true

)

select
    pairs.agent_id,
    pairs.role_id,
    latest.had_roles,
    agents.agent_id is not null and roles.role_id is not null as is_known,
    case when pairs.role_id = any (latest.role_ids) then 'assigned' else 'removed' end as status
from pairs
inner join latest on latest.agent_id = pairs.agent_id
left join agents on agents.agent_id = pairs.agent_id
left join roles on roles.role_id = pairs.role_id;

analyze named_pairs;

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key,
        is_loaded('agent_details') or is_loaded('roles') as is_loaded,
        now() as started_at

),

-- Only what differs goes on: an unchanged row is not even locked. Of agents that have roles:
-- all roles of the others are new.
mapping_changes as (

    select
        coalesce(stored.agent_id, named.agent_id) as agent_id,
        coalesce(stored.role_id, named.role_id) as role_id,
        named.status
    from (select agent_id, role_id, status from named_pairs where is_known and had_roles) as named
    full join (

        select mapping.agent_id, mapping.role_id, mapping.status
        from agent_role_mapping as mapping
        inner join touched_agents as touched on touched.agent_id = mapping.agent_id

    ) as stored
        on stored.agent_id = named.agent_id and stored.role_id = named.role_id
    where named.status is distinct from stored.status

),

mapping_upserted as (

    insert into agent_role_mapping as target (agent_id, role_id, status)
    select agent_id, role_id, status
    from (

        select agent_id, role_id, status
        from named_pairs
        where is_known and not had_roles

        union all

        select agent_id, role_id, status
        from mapping_changes
        where status is not null

    ) as wanted
    -- In the order of its index: rows in the order of a hash would land all over it.
    order by agent_id, role_id
    on conflict (agent_id, role_id) do update
    set status = excluded.status
    where target.status <> excluded.status
    returning (xmax = 0) as inserted

),

mapping_deleted as (

    delete from agent_role_mapping as target
    using mapping_changes
    where target.agent_id = mapping_changes.agent_id
        and target.role_id = mapping_changes.role_id
        and mapping_changes.status is null
    returning target.agent_id

),

unknown_changes as (

    select
        coalesce(stored.agent_id, named.agent_id) as agent_id,
        coalesce(stored.role_id, named.role_id) as role_id,
        named.agent_id is null as is_gone
    from (select agent_id, role_id from named_pairs where not is_known) as named
    full join (

        select unknown.agent_id, unknown.role_id
        from agent_role_unknown as unknown
        inner join touched_agents as touched on touched.agent_id = unknown.agent_id

    ) as stored
        on stored.agent_id = named.agent_id and stored.role_id = named.role_id
    where named.agent_id is null or stored.agent_id is null

),

unknown_inserted as (

    insert into agent_role_unknown (agent_id, role_id)
    select unknown_changes.agent_id, unknown_changes.role_id
    from unknown_changes
    where not unknown_changes.is_gone
    returning agent_id

),

unknown_deleted as (

    delete from agent_role_unknown as target
    using unknown_changes
    where target.agent_id = unknown_changes.agent_id
        and target.role_id = unknown_changes.role_id
        and unknown_changes.is_gone
    returning target.agent_id

),

history_upserted as (

    insert into agent_role_history as target (agent_id, day, day_key, role_ids)
    select history_changes.agent_id, context.day, context.day_key, history_changes.role_ids
    from history_changes
    cross join context
    where history_changes.role_ids is not null
    order by history_changes.agent_id
    on conflict (day, agent_id) do update
    set role_ids = excluded.role_ids
    where target.role_ids <> excluded.role_ids
    returning (xmax = 0) as inserted

),

history_deleted as (

    delete from agent_role_history as target
    using history_changes
    cross join context
    where target.day = context.day
        and target.agent_id = history_changes.agent_id
        and history_changes.role_ids is null
    returning target.agent_id

),

written as (

    select
        count(*) filter (where inserted) as inserted,
        count(*) filter (where not inserted) as updated,
        0 as deleted
    from mapping_upserted

    union all

    select 0, 0, count(*)
    from mapping_deleted

    union all

    select count(*), 0, 0
    from unknown_inserted

    union all

    select 0, 0, count(*)
    from unknown_deleted

    union all

    select count(*) filter (where inserted), count(*) filter (where not inserted), 0
    from history_upserted

    union all

    select 0, 0, count(*)
    from history_deleted

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
    'agent_roles_task',
    'agent_roles',
    'agent_role_mapping',
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
