-- check: 010_agents
-- severity: error
-- description: agents that are missing, or older than a record of the day
with context as materialized (

    select
        current_setting('app.day') as day,
        day_order(current_setting('app.day')) as day_key

),

staged as (

    select agent_id, updated_at, 1::smallint as version_source, source_file, position
    from stg_agents
    where day = (select day from context)

    union all

    select agent_id, updated_at, 0::smallint as version_source, source_file, position
    from stg_agent_details
    where day = (select day from context)

)

select
    staged.agent_id,
    staged.updated_at,
    agents.updated_at as stored_updated_at,
    staged.source_file,
    staged.position
from staged
left join agents on agents.agent_id = staged.agent_id
where agents.agent_id is null
    or (coalesce(agents.updated_at, '-infinity'), agents.version_key, agents.version_source)
        < (coalesce(staged.updated_at, '-infinity'), (select day_key from context), staged.version_source)
order by staged.agent_id
