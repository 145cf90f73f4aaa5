-- 020_groups: one row a group, newest record wins; its members; whether anybody is active below it.
-- Members are those of the group's latest well-formed list, as far as they are known agents.
-- The cost grows with groups and memberships, not with the depth of the tree nor the days.
-- description: groups, their members, and which are inactive
begin;

-- What the plans below need to know is how large a table is, for which a small sample will do.
set local default_statistics_target = 10;

select require_loaded('admin_groups');

-- One record a group: the newest, then the last in file order. Member lists stay as they come:
-- only those that a day has changed are worth taking apart. A table, because a count of its rows
-- is what keeps the plans below right on staging that was filled a moment ago.
create temporary table newest_groups on commit drop as
select distinct on (group_id)
    group_id,
    name,
    description,
    parent_group_id,
    created_at,
    updated_at,
    agent_ids
from stg_admin_groups
where day = current_setting('app.day')
order by
    group_id,
    updated_at desc nulls last,
    source_file desc,
    position desc;

analyze newest_groups (group_id);

-- All groups as they will be, as far as the tree goes, and which records are new or differ.
-- A record that is newer and says the same is a change, too: what comes late must lose to it.
create temporary table desired_groups on commit drop as
with context as materialized (select day_order(current_setting('app.day')) as day_key),

compared as (

    select
        coalesce(current.group_id, newest.group_id) as group_id,
        newest.parent_group_id,
        current.parent_group_id as current_parent_group_id,
        current.inactive as current_inactive,
        newest.group_id is not null and (
            current.group_id is null
            or (
                newest.name,
                newest.description,
                newest.parent_group_id,
                newest.created_at,
                newest.updated_at,
                context.day_key
            ) is distinct from (
                current.name,
                current.description,
                current.parent_group_id,
                current.created_at,
                current.updated_at,
                current.version_key
            )
            and (coalesce(newest.updated_at, '-infinity'), context.day_key)
                >= (coalesce(current.updated_at, '-infinity'), current.version_key)
        ) as is_changed
    from groups as current
    full join newest_groups as newest on newest.group_id = current.group_id
    cross join context

)

select
    group_id,
    case when is_changed then parent_group_id else current_parent_group_id end as parent_group_id,
    current_inactive,
    is_changed
from compared;

create unique index on desired_groups (group_id);

analyze desired_groups (group_id, parent_group_id);

-- What this day's lists become: an empty side is a list that is new or gone.
create temporary table history_changes on commit drop as
select
    coalesce(stored.group_id, today.group_id) as group_id,
    today.agent_ids
from (select group_id, agent_ids from newest_groups where agent_ids is not null) as today
full join (

    select group_id, agent_ids
    from group_member_history
    where day = current_setting('app.day')

) as stored on stored.group_id = today.group_id
where today.agent_ids is distinct from stored.agent_ids;

analyze history_changes (group_id);

-- The members of a group can only change with its lists, or when an agent becomes known.
create temporary table touched_groups on commit drop as
select group_id
from history_changes

union

select unknown.group_id
from group_member_unknown as unknown
inner join agents on agents.agent_id = unknown.agent_id

-- In the order in which members are written further down.
order by group_id;

analyze touched_groups;

-- The members of these groups as they will be, unknown ones too. The latest list of a group is
-- the day's, or else one step down an index, whatever the number of days.
create temporary table desired_members on commit drop as
with context as materialized (select day_order(current_setting('app.day')) as day_key),

latest as (

    select
        touched.group_id,
        case
            when today.agent_ids is not null and coalesce(stored.day_key < context.day_key, true)
                then today.agent_ids
            else stored.agent_ids
        end as agent_ids,
        exists (

            select from group_membership as member where member.group_id = touched.group_id

        ) as had_members
    from touched_groups as touched
    cross join context
    left join newest_groups as today on today.group_id = touched.group_id
    left join lateral (

        select
            history.day_key,
            history.agent_ids
        from group_member_history as history
        where history.group_id = touched.group_id
            and history.day_key <> context.day_key
        order by history.day_key desc
        limit 1

    ) as stored on true

)

select
    latest.group_id,
    latest.had_members,
    listed.agent_id,
    agents.agent_id is not null as is_known,
    coalesce(agents.status = 'active', false) as is_active
from latest
-- A list may name a member twice.
cross join lateral (

    select distinct agent_id
    from unnest(latest.agent_ids) as named(agent_id)
    order by agent_id

) as listed
left join agents on agents.agent_id = listed.agent_id;

analyze desired_members;

-- Groups with an active member of their own.
create temporary table occupied_groups on commit drop as
with stored as (

    select distinct membership.group_id
    from group_membership as membership
    inner join agents on agents.agent_id = membership.agent_id
    where agents.status = 'active'

)

select stored.group_id
from stored
left join touched_groups as touched on touched.group_id = stored.group_id
where touched.group_id is null

union

select group_id
from desired_members
where is_active;

analyze occupied_groups;

with recursive context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key,
        now() as started_at

),

-- Upward from the occupied groups. `union` visits each group once, so cycles end.
-- The limit makes an index look-up of each step, where a join might read all groups a level:
-- a chain of 10,000 would then cost 10,000 times as much.
alive as (

    select group_id
    from occupied_groups

    union

    select parent.parent_group_id
    from alive
    cross join lateral (

        select desired.parent_group_id
        from desired_groups as desired
        where desired.group_id = alive.group_id
            and desired.parent_group_id is not null
        limit 1

    ) as parent

),

-- Only what is new or differs goes on: an unchanged row is not even locked.
changes as (

    select
        desired.group_id,
        desired.is_changed,
        alive.group_id is null as inactive
    from desired_groups as desired
    left join alive on alive.group_id = desired.group_id
    where desired.is_changed
        or (alive.group_id is null) <> desired.current_inactive

),

upserted as (

    insert into groups as target (
        group_id,
        name,
        description,
        parent_group_id,
        created_at,
        updated_at,
        inactive,
        version_key
    )
    select
        newest.group_id,
        newest.name,
        newest.description,
        newest.parent_group_id,
        newest.created_at,
        newest.updated_at,
        changes.inactive,
        context.day_key
    from changes
    inner join newest_groups as newest on newest.group_id = changes.group_id
    cross join context
    where changes.is_changed
    order by newest.group_id
    on conflict (group_id) do update
    set
        name = excluded.name,
        description = excluded.description,
        parent_group_id = excluded.parent_group_id,
        created_at = excluded.created_at,
        updated_at = excluded.updated_at,
        inactive = excluded.inactive,
        version_key = excluded.version_key
    where (coalesce(excluded.updated_at, '-infinity'), excluded.version_key)
        >= (coalesce(target.updated_at, '-infinity'), target.version_key)
    returning (xmax = 0) as inserted

),

-- Groups that come alive or fall silent without a newer record; never a row of the upsert above.
restated as (

    update groups as target
    set inactive = changes.inactive
    from changes
    where target.group_id = changes.group_id
        and not changes.is_changed
    returning target.group_id

),

-- Of groups that have members: all members of the others are new.
member_changes as (

    select
        coalesce(stored.group_id, desired.group_id) as group_id,
        coalesce(stored.agent_id, desired.agent_id) as agent_id,
        desired.group_id is null as is_gone
    from (select group_id, agent_id from desired_members where is_known and had_members) as desired
    full join (

        select membership.group_id, membership.agent_id
        from group_membership as membership
        inner join touched_groups as touched on touched.group_id = membership.group_id

    ) as stored on stored.group_id = desired.group_id and stored.agent_id = desired.agent_id
    where desired.group_id is null or stored.group_id is null

),

members_inserted as (

    insert into group_membership (group_id, agent_id)
    select group_id, agent_id
    from (

        select group_id, agent_id
        from desired_members
        where is_known and not had_members

        union all

        select group_id, agent_id
        from member_changes
        where not is_gone

    ) as missing
    -- In the order of its index: rows in the order of a hash would land all over it.
    order by group_id, agent_id
    returning group_id

),

members_deleted as (

    delete from group_membership as target
    using member_changes
    where target.group_id = member_changes.group_id
        and target.agent_id = member_changes.agent_id
        and member_changes.is_gone
    returning target.group_id

),

unknown_changes as (

    select
        coalesce(stored.group_id, desired.group_id) as group_id,
        coalesce(stored.agent_id, desired.agent_id) as agent_id,
        desired.group_id is null as is_gone
    from (select group_id, agent_id from desired_members where not is_known) as desired
    full join (

        select unknown.group_id, unknown.agent_id
        from group_member_unknown as unknown
        inner join touched_groups as touched on touched.group_id = unknown.group_id

    ) as stored on stored.group_id = desired.group_id and stored.agent_id = desired.agent_id
    where desired.group_id is null or stored.group_id is null

),

unknown_inserted as (

    insert into group_member_unknown (group_id, agent_id)
    select group_id, agent_id
    from unknown_changes
    where not is_gone
    returning group_id

),

unknown_deleted as (

    delete from group_member_unknown as target
    using unknown_changes
    where target.group_id = unknown_changes.group_id
        and target.agent_id = unknown_changes.agent_id
        and unknown_changes.is_gone
    returning target.group_id

),

history_upserted as (

    insert into group_member_history as target (group_id, day, day_key, agent_ids)
    select history_changes.group_id, context.day, context.day_key, history_changes.agent_ids
    from history_changes
    cross join context
    where history_changes.agent_ids is not null
    order by history_changes.group_id
    on conflict (day, group_id) do update
    set agent_ids = excluded.agent_ids
    where target.agent_ids <> excluded.agent_ids
    returning (xmax = 0) as inserted

),

history_deleted as (

    delete from group_member_history as target
    using history_changes
    cross join context
    where target.day = context.day
        and target.group_id = history_changes.group_id
        and history_changes.agent_ids is null
    returning target.group_id

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

    select count(*), 0, 0
    from members_inserted

    union all

    select 0, 0, count(*)
    from members_deleted

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
    'groups_task',
    'groups',
    'groups',
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
