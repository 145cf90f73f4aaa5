-- 020_daily_activity: agents and groups of each applied day, as its own files name them.
-- description: agents and groups, active and not, by day
create materialized view daily_activity as
with days as (

    select
        day,
        day_key,
        lag(day) over (order by day_key) as day_before
    from agent_days

),

agents_of_days as (

    select
        day,
        count(*) as agents,
        count(*) filter (where is_active) as agents_active
    from agent_status_history
    group by day

),

-- Who was active on a day and not on the one before it, and the other way round.
moves as (

    select
        days.day,
        count(*) filter (where not was_active) as agents_came,
        count(*) filter (where not is_active) as agents_left
    from days
    cross join lateral (

        select
            coalesce(today.is_active, false) as is_active,
            coalesce(before.is_active, false) as was_active
        from (select * from agent_status_history where day = days.day) as today
        full join (select * from agent_status_history where day = days.day_before) as before using (agent_id)

    ) as agents
    where is_active <> was_active
        and days.day_before is not null
    group by days.day

),

groups_of_days as (

    select
        lists.day,
        count(*) as groups,
        count(*) filter (

            where exists (

                select
                from unnest(lists.agent_ids) as members (agent_id)
                inner join agent_status_history as history
                    on history.day = lists.day and history.agent_id = members.agent_id and history.is_active

            )

        ) as groups_active
    from group_member_history as lists
    group by lists.day

)

select
    days.day,
    -- Sorts as days do: day2 before day10.
    days.day_key,
    coalesce(agents_of_days.agents, 0) as agents,
    coalesce(agents_of_days.agents_active, 0) as agents_active,
    case when days.day_before is not null then coalesce(moves.agents_came, 0) end as agents_came,
    case when days.day_before is not null then coalesce(moves.agents_left, 0) end as agents_left,
    coalesce(groups_of_days.groups, 0) as groups,
    coalesce(groups_of_days.groups_active, 0) as groups_active
from days
left join agents_of_days on agents_of_days.day = days.day
left join moves on moves.day = days.day
left join groups_of_days on groups_of_days.day = days.day;

create unique index daily_activity_key on daily_activity (day);
