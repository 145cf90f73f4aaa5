-- check: 020_groups
-- severity: error
-- description: members that the group's latest list, which is the day's, does not name
select
    membership.group_id,
    membership.agent_id,
    history.agent_ids as latest_list
from group_member_history as history
inner join group_membership as membership on membership.group_id = history.group_id
where history.day = (select current_setting('app.day'))
    and membership.agent_id <> all (history.agent_ids)
    and not exists (

        select from group_member_history as later
        where later.group_id = history.group_id and later.day_key > history.day_key

    )
order by membership.group_id, membership.agent_id
