-- severity: error
-- description: entities of the day whose staging has more or fewer rows than were loaded
with staged as (

    select 'agents' as entity, count(*) as rows_staged
    from stg_agents
    where day = current_setting('app.day')

    union all

    select 'agent_details', count(*)
    from stg_agent_details
    where day = current_setting('app.day')

    union all

    select 'admin_groups', count(*)
    from stg_admin_groups
    where day = current_setting('app.day')

    union all

    select 'roles', count(*)
    from stg_roles
    where day = current_setting('app.day')

    union all

    select 'budgets', count(*)
    from stg_budgets
    where day = current_setting('app.day')

    union all

    select 'cards', count(*)
    from stg_cards
    where day = current_setting('app.day')

    union all

    select 'transactions', count(*)
    from stg_transactions
    where day = current_setting('app.day')

)

select
    staged.entity,
    loads.rows_loaded,
    staged.rows_staged
from staged
left join stg_loads as loads
    on loads.pipeline = 'zluri'
    and loads.day = current_setting('app.day')
    and loads.entity = staged.entity
where staged.rows_staged <> coalesce(loads.rows_loaded, 0)
order by staged.entity
