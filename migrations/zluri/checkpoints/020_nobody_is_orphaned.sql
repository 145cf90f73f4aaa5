-- severity: error
-- description: members of groups that are not known, and presence of agents that are not known
select
    'group_membership' as found_in,
    membership.group_id,
    membership.agent_id
from group_membership as membership
left join groups on groups.group_id = membership.group_id
where groups.group_id is null

union all

select
    'agent_status_history' as found_in,
    null as group_id,
    history.agent_id
from agent_status_history as history
left join agents on agents.agent_id = history.agent_id
where history.day = current_setting('app.day')
    and agents.agent_id is null
order by found_in, group_id, agent_id
