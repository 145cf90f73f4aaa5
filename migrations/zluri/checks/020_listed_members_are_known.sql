-- check: 020_groups
-- severity: warn
-- description: listed members that are not known agents
select
    waiting.group_id,
    groups.name as group_name,
    waiting.agent_id
from group_member_unknown as waiting
left join groups on groups.group_id = waiting.group_id
order by waiting.group_id, waiting.agent_id
