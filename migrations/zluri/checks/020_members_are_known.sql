-- check: 020_groups
-- severity: error
-- description: members that are not known agents
select
    membership.group_id,
    membership.agent_id
from group_membership as membership
left join agents on agents.agent_id = membership.agent_id
where agents.agent_id is null
order by membership.group_id, membership.agent_id
