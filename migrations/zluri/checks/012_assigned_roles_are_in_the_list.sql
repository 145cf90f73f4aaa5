-- check: 012_agent_roles
-- severity: error
-- description: roles that are assigned though the agent's latest list, which is the day's, does not name them
select
    mapping.agent_id,
    mapping.role_id,
    history.role_ids as latest_list
from agent_role_history as history
inner join agent_role_mapping as mapping on mapping.agent_id = history.agent_id
where history.day = (select current_setting('app.day'))
    and mapping.status = 'assigned'
    and mapping.role_id <> all (history.role_ids)
    and not exists (

        select from agent_role_history as later
        where later.agent_id = history.agent_id and later.day_key > history.day_key

    )
order by mapping.agent_id, mapping.role_id
