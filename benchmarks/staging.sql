-- A day in staging, made by the server: %(rows)s transactions and memberships, a tenth as many
-- agents, groups, roles, budgets and cards. The same number gives the same rows.
-- Ids of transactions, budgets and cards are as random as those of payment services, so rows
-- come in no order that an index would like.

create function pg_temp.pick(seed bigint, choices bigint) returns bigint
language sql immutable parallel safe
return (hashint8extended(seed, 42) & 9223372036854775807) % choices;

select staging_day(staging, 'bench')
from unnest(array[
    'stg_agents', 'stg_agent_details', 'stg_admin_groups', 'stg_roles', 'stg_budgets', 'stg_cards', 'stg_transactions'
]::regclass[]) as staging;

-- Nine of ten agents are in the snapshot; all have details, so both sources meet.
insert into stg_agents (
    day, source_file, position, agent_id, email, name, job_title, language, mobile, phone, time_zone, last_login_at,
    org_agent_id, available, available_since, deactivated, focus_mode, agent_operational_status, ticket_scope,
    last_active_at, signature, freshchat_agent, created_at, updated_at
)
select
    'bench', format('page-%%s.json', lpad((n / 1000)::text, 6, '0')), n %% 1000, n,
    format('agent.%%s@example.com', n), format('Agent %%s', n), 'Support engineer', 'en', null, '+1 555 0100',
    'Eastern Time (US & Canada)', '2026-03-05 08:00Z'::timestamptz - n * interval '1 minute', n::text,
    n %% 3 = 0, '2026-03-05 09:00Z', false, false, 'ACTIVE', 'ALL_TICKETS', '2026-03-05 10:00Z',
    '<div>Regards</div>', false, '2024-01-01Z', '2026-03-01Z'::timestamptz + n * interval '1 second'
from generate_series(1, %(rows)s / 10) as n
where n %% 10 <> 0;

insert into stg_agent_details (
    day, source_file, position, agent_id, email, name, job_title, language, mobile, phone, time_zone, last_login_at,
    org_agent_id, available, available_since, deactivated, focus_mode, agent_operational_status, ticket_scope,
    last_active_at, signature, freshchat_agent, created_at, updated_at, role_ids
)
select
    'bench', format('%%s.json', n), 1, n,
    format('agent.%%s@example.com', n), format('Agent %%s', n), 'Support engineer', 'en', null, '+1 555 0100',
    'Eastern Time (US & Canada)', '2026-03-05 08:00Z'::timestamptz - n * interval '1 minute', n::text,
    n %% 3 = 0, '2026-03-05 09:00Z', false, false, 'ACTIVE', 'ALL_TICKETS', '2026-03-05 10:00Z',
    '<div>Regards</div>', false, '2024-01-01Z', '2026-03-01Z'::timestamptz + n * interval '1 second',
    array[1 + n %% 50, 51 + n %% 50, 101 + n %% 50]
from generate_series(1, %(rows)s / 10) as n;

-- One half hangs in chains up to 10,000 deep that end in the only members who are active; the
-- other half in trees of ten a node.
insert into stg_admin_groups
select
    'bench', format('page-%%s.json', lpad((n / 1000)::text, 6, '0')), n %% 1000, n, format('Group %%s', n),
    'All who look after it',
    case
        when n %% 2 = 0 then case when n %% 20000 <> 2 and n > 2 then n - 2 end
        else nullif(n / 10, 0)
    end,
    array(
        select case
            when n %% 2 = 1 or n %% 20000 = 0 then 1 + pg_temp.pick(n * 10 + m, %(rows)s / 10)
            else 10 * (1 + pg_temp.pick(n * 10 + m, %(rows)s / 100))
        end
        from generate_series(1, 10) as m
    ),
    '2024-01-01Z', '2026-03-01Z'::timestamptz + n * interval '1 second'
from generate_series(1, %(rows)s / 10) as n;

insert into stg_roles
select
    'bench', 'roles.json', n, n, format('Role %%s', n), 'What its holders may do', false, 'support_agent',
    '2024-01-01Z', '2026-03-01Z'
from generate_series(1, %(rows)s / 10) as n;

insert into stg_budgets (
    day, source_file, position, budget_id, budget_uuid, name, description, retired, start_date, recurring_interval,
    timezone, limit_amount, overspend_buffer, assigned_amount, spent_cleared, spent_pending, spent_total
)
select
    'bench', 'budgets.json', n, md5(format('budget %%s', n)), md5(format('budget uuid %%s', n)), format('Budget %%s', n),
    'Travel and meals', false, '2026-01-01', 'MONTHLY', 'US/Eastern', 5000, 0, 4000, n %% 4000, 12.34, n %% 4000 + 12.34
from generate_series(1, %(rows)s / 10) as n;

insert into stg_cards (
    day, source_file, position, card_id, card_uuid, name, user_id, user_uuid, budget_id, budget_uuid, last_four,
    valid_thru, status, type, share_budget_funds, recurring, recurring_limit, current_limit, current_spent,
    created_time, updated_time
)
select
    'bench', 'cards.json', n, md5(format('card %%s', n)), md5(format('card uuid %%s', n)), format('Card %%s', n),
    md5(format('user %%s', n %% 1000)), md5(format('user uuid %%s', n %% 1000)), md5(format('budget %%s', n)),
    md5(format('budget uuid %%s', n)), lpad((n %% 10000)::text, 4, '0'), '2029-01-01', 'ACTIVATED', 'VIRTUAL',
    false, true, 1000, 1000, n %% 1000, '2024-01-01Z', '2026-03-01Z'::timestamptz + n * interval '1 second'
from generate_series(1, %(rows)s / 10) as n;

-- Six of ten in dollars, three in currencies with a reference rate, one with a rate of its own.
insert into stg_transactions (
    day, source_file, position, transaction_id, transaction_uuid, transaction_type, occurred_time, updated_time,
    user_id, user_uuid, user_name, merchant_name, raw_merchant_name, card_id, card_uuid, budget_id, budget_uuid,
    minor_units, currency, exponent, payload_rate
)
select
    'bench', format('page-%%s.json', lpad((n / 5000)::text, 6, '0')), n %% 5000,
    md5(format('transaction %%s', n)), md5(format('uuid %%s', n)), 'CLEAR',
    '2026-01-01Z'::timestamptz + pg_temp.pick(n, 60 * 86400) * interval '1 second',
    '2026-03-01Z'::timestamptz + n * interval '1 second',
    md5(format('user %%s', n %% 1000)), md5(format('user uuid %%s', n %% 1000)), format('Agent %%s', n %% 1000),
    format('Merchant %%s', n %% 5000), format('MERCHANT %%s *%%s', n %% 5000, n %% 997),
    md5(format('card %%s', n %% 10000)), md5(format('card uuid %%s', n %% 10000)),
    md5(format('budget %%s', n %% 1000)), md5(format('budget uuid %%s', n %% 1000)),
    pg_temp.pick(n + 7, 1000000) - 50000,
    (array['USD', 'USD', 'USD', 'USD', 'USD', 'USD', 'EUR', 'GBP', 'JPY', 'ARS'])[1 + n %% 10],
    case when n %% 10 = 8 then 0 else 2 end,
    case when n %% 10 = 9 then round(1 + (n %% 1000) / 997.0, 6) end
from generate_series(1, %(rows)s) as n;

insert into fx_rates
select currency, day::date, round(base * (1 + pg_temp.pick(extract(epoch from day)::bigint, 1000) / 50000.0), 4), 'ECB'
from (values ('USD', 1.08), ('GBP', 0.85), ('JPY', 162.5)) as legs (currency, base)
cross join generate_series('2025-12-01'::timestamp, '2026-03-10'::timestamp, interval '1 day') as day
where extract(isodow from day) < 6;

insert into stg_loads (
    pipeline, day, entity, records_read, rows_loaded, rejects, warnings, files, bytes, fingerprint, flow_run_id, seconds
)
select 'zluri', 'bench', entity, 1, 1, 0, 0, 1, 1, '', '', 0
from unnest(array[
    'agents', 'agent_details', 'admin_groups', 'roles', 'budgets', 'cards', 'transactions'
]) as entity;
