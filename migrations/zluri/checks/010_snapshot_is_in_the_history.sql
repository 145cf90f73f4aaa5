-- check: 010_agents
-- severity: error
-- description: agents of the day's snapshot whose history does not say they were there, or the other way round
with named as (

    select agent_id
    from stg_agents
    where day = current_setting('app.day')

    union all

    -- A valid id is enough, even in a record that was rejected.
    select record_key::bigint
    from stg_rejects
    where pipeline = 'zluri'
        and day = (select current_setting('app.day'))
        and entity = 'agents'
        and severity = 'reject'
        and record_key is not null
        and exists (select from agents where agent_id = record_key::bigint)

)

select
    coalesce(named.agent_id, history.agent_id) as agent_id,
    named.agent_id is not null as in_snapshot,
    history.agent_id is not null as in_history
from named
full join (

    select agent_id
    from agent_status_history
    where day = (select current_setting('app.day')) and is_active

) as history on history.agent_id = named.agent_id
where named.agent_id is null or history.agent_id is null
order by agent_id
