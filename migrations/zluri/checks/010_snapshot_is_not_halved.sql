-- check: 010_agents
-- severity: warn
-- description: a snapshot with less than half of the agents of the day before: is a page of it missing?
with today as materialized (select day_order(current_setting('app.day')) as day_key),

before as (

    select agent_days.day
    from agent_days
    where day_key < (select day_key from today)
    order by day_key desc
    limit 1

),

counted as (

    select
        (select day from before) as day_before,
        (select count(*) from agent_status_history where day = (select day from before) and is_active)
            as agents_before,
        (select count(*) from agent_status_history where day = (select current_setting('app.day')) and is_active)
            as agents_today

)

select *
from counted
where agents_today * 2 < agents_before
