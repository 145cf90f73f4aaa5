-- check: 010_agents
-- severity: error
-- description: agents whose status is not what the latest day's snapshot says
with latest as materialized (select day from agent_days order by day_key desc limit 1)

select
    coalesce(agents.agent_id, snapshot.agent_id) as agent_id,
    agents.status,
    (select day from latest) as latest_day,
    snapshot.agent_id is not null as in_snapshot
from agents
full join (

    select agent_id
    from agent_status_history
    where day = (select day from latest) and is_active

) as snapshot on snapshot.agent_id = agents.agent_id
where (agents.status = 'active') is distinct from (snapshot.agent_id is not null)
order by agent_id
