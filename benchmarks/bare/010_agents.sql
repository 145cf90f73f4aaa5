-- Agents, and who was there: rows as they come, all of them active.
begin;

insert into agents (
    agent_id,
    email,
    name,
    job_title,
    language,
    mobile,
    phone,
    time_zone,
    last_login_at,
    org_agent_id,
    available,
    available_since,
    deactivated,
    focus_mode,
    agent_operational_status,
    ticket_scope,
    last_active_at,
    signature,
    freshchat_agent,
    created_at,
    updated_at,
    status,
    version_key,
    version_source
)
select distinct on (agent_id)
    agent_id,
    email,
    name,
    job_title,
    language,
    mobile,
    phone,
    time_zone,
    last_login_at,
    org_agent_id,
    available,
    available_since,
    deactivated,
    focus_mode,
    agent_operational_status,
    ticket_scope,
    last_active_at,
    signature,
    freshchat_agent,
    created_at,
    updated_at,
    'active',
    day,
    1
from (

    select
        day,
        agent_id,
        email,
        name,
        job_title,
        language,
        mobile,
        phone,
        time_zone,
        last_login_at,
        org_agent_id,
        available,
        available_since,
        deactivated,
        focus_mode,
        agent_operational_status,
        ticket_scope,
        last_active_at,
        signature,
        freshchat_agent,
        created_at,
        updated_at
    from stg_agents
    where day = current_setting('app.day')

    union all

    select
        day,
        agent_id,
        email,
        name,
        job_title,
        language,
        mobile,
        phone,
        time_zone,
        last_login_at,
        org_agent_id,
        available,
        available_since,
        deactivated,
        focus_mode,
        agent_operational_status,
        ticket_scope,
        last_active_at,
        signature,
        freshchat_agent,
        created_at,
        updated_at
    from stg_agent_details
    where day = current_setting('app.day')

) as records
order by agent_id, updated_at desc
on conflict (agent_id) do update
set
    email = excluded.email,
    name = excluded.name,
    job_title = excluded.job_title,
    language = excluded.language,
    mobile = excluded.mobile,
    phone = excluded.phone,
    time_zone = excluded.time_zone,
    last_login_at = excluded.last_login_at,
    org_agent_id = excluded.org_agent_id,
    available = excluded.available,
    available_since = excluded.available_since,
    deactivated = excluded.deactivated,
    focus_mode = excluded.focus_mode,
    agent_operational_status = excluded.agent_operational_status,
    ticket_scope = excluded.ticket_scope,
    last_active_at = excluded.last_active_at,
    signature = excluded.signature,
    freshchat_agent = excluded.freshchat_agent,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    status = excluded.status,
    version_key = excluded.version_key,
    version_source = excluded.version_source;

insert into agent_status_history (agent_id, day, is_active)
select agent_id, day, bool_or(is_active)
from (

    select agent_id, day, true as is_active
    from stg_agents
    where day = current_setting('app.day')

    union all

    select agent_id, day, false as is_active
    from stg_agent_details
    where day = current_setting('app.day')

) as named
group by agent_id, day
on conflict (day, agent_id) do update
set is_active = excluded.is_active;

commit;
