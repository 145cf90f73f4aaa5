-- check: 020_groups
-- severity: error
-- description: groups that are inactive with an active member at or below them, or active without one
with recursive occupied as materialized (

    select distinct membership.group_id
    from group_membership as membership
    inner join agents on agents.agent_id = membership.agent_id
    where agents.status = 'active'

),

-- Upward from the occupied groups, beginning with parents that are not occupied themselves, which
-- are few. `union` visits each group once, so cycles end. The limit makes an index look-up of each
-- step, where a join might read all groups a level.
above as (

    select groups.parent_group_id as group_id
    from occupied
    inner join groups on groups.group_id = occupied.group_id
    left join occupied as parent on parent.group_id = groups.parent_group_id
    where groups.parent_group_id is not null
        and parent.group_id is null

    union

    select parent.parent_group_id
    from above
    cross join lateral (

        select groups.parent_group_id
        from groups
        where groups.group_id = above.group_id
            and groups.parent_group_id is not null
        limit 1

    ) as parent

),

alive as (

    select group_id
    from occupied

    union

    select group_id
    from above

)

select
    groups.group_id,
    groups.name,
    groups.inactive,
    alive.group_id is not null as has_active_member
from groups
left join alive on alive.group_id = groups.group_id
where groups.inactive = (alive.group_id is not null)
order by groups.group_id
