-- Brings a database of an earlier layout to today's, with its rows; one that is new has nothing to change.
-- upgrades: 001_staging@3631e247f30e, 001_staging@e2180f7afa6f, 003_agents@49941a48607e, 005_cards@8a18a1159de1, 006_transactions@d407aa0a746b
-- timeout: 12h
--
-- The first layout had staging in plain tables, and neither there nor in the final tables a hash of a
-- record's content. Where a table got it later it is the last column, which costs the steps some time.

-- Plain staging steps aside for tables that are partitioned by day.
do $$
declare

    plain record;

begin

    for plain in
        select
            tables.relname as name,
            tables.relowner::regrole as owner,
            tables.relrowsecurity
                or exists (select from pg_trigger where tgrelid = tables.oid)
                or exists (select from pg_rewrite where ev_class = tables.oid) as is_special
        from pg_class as tables
        where tables.oid in (
                'stg_agents'::regclass, 'stg_agent_details'::regclass, 'stg_admin_groups'::regclass,
                'stg_roles'::regclass, 'stg_budgets'::regclass, 'stg_cards'::regclass, 'stg_transactions'::regclass
            )
            and tables.relkind = 'r'
            and not tables.relispartition
    loop
        if plain.is_special then
            raise exception '% is to be made anew, and has triggers, rules or row security of its own', plain.name
            using hint = 'Drop them, run again, and give them to the new table.';
        end if;
        execute format('drop index if exists %I', plain.name || '_day');
        execute format('alter table %I rename to %I', plain.name, plain.name || '_before');
        execute format('create table %I (like %I including all) partition by list (day)', plain.name, plain.name || '_before');
        execute format('alter table %I owner to %s', plain.name, plain.owner);
        -- It comes again behind the hash: a step reads all columns of stg_agents, and those of details, in one.
        if plain.name = 'stg_agent_details' then
            alter table stg_agent_details drop column role_ids;
        end if;
    end loop;

end
$$;

-- The same columns as 001_staging, 003_agents, 005_cards and 006_transactions make.
alter table stg_agents add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        email, name, job_title, language, mobile, phone, time_zone, last_login_at, org_agent_id,
        available, available_since, deactivated, focus_mode, agent_operational_status,
        ticket_scope, last_active_at, signature, freshchat_agent, created_at, updated_at
    ), 0)
) stored;

alter table stg_agent_details add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        email, name, job_title, language, mobile, phone, time_zone, last_login_at, org_agent_id,
        available, available_since, deactivated, focus_mode, agent_operational_status,
        ticket_scope, last_active_at, signature, freshchat_agent, created_at, updated_at
    ), 0)
) stored;

alter table stg_agent_details add column if not exists role_ids bigint[];

alter table stg_budgets add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        budget_uuid, name, description, retired, start_date, recurring_interval, timezone,
        limit_amount, overspend_buffer, assigned_amount, spent_cleared, spent_pending,
        spent_total
    ), 0)
) stored;

alter table stg_cards add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        card_uuid, name, user_id, user_uuid, budget_id, budget_uuid, last_four, valid_thru,
        status, type, share_budget_funds, recurring, recurring_limit, current_limit,
        current_spent, created_time, updated_time
    ), 0)
) stored;

alter table stg_transactions add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        transaction_uuid, transaction_type, occurred_time, updated_time, user_id, user_uuid,
        user_name, merchant_name, raw_merchant_name, card_id, card_uuid, budget_id, budget_uuid
    ), 0)
) stored;

alter table agents add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        email, name, job_title, language, mobile, phone, time_zone, last_login_at, org_agent_id,
        available, available_since, deactivated, focus_mode, agent_operational_status,
        ticket_scope, last_active_at, signature, freshchat_agent, created_at, updated_at
    ), 0)
) stored;

alter table budgets add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        budget_uuid, name, description, retired, start_date, recurring_interval, timezone,
        limit_amount, overspend_buffer, assigned_amount, spent_cleared, spent_pending,
        spent_total
    ), 0)
) stored;

alter table cards add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        card_uuid, name, user_id, user_uuid, budget_id, budget_uuid, last_four, valid_thru,
        status, type, share_budget_funds, recurring, recurring_limit, current_limit,
        current_spent, created_time, updated_time
    ), 0)
) stored;

alter table transactions add column if not exists content_hash bigint generated always as (
    hash_record_extended(row(
        transaction_uuid, transaction_type, occurred_time, updated_time, user_id, user_uuid,
        user_name, merchant_name, raw_merchant_name, card_id, card_uuid, budget_id, budget_uuid
    ), 0)
) stored;

-- What stepped aside comes into a partition for each day. Who might read or write the table still may.
do $$
declare

    plain record;
    allowed record;
    day text;
    columns text;

begin

    for plain in
        select tables.oid, tables.relacl, tables.relowner, tables.relname as old, staging.relname as name
        from pg_class as tables
        inner join pg_class as staging
            on staging.relnamespace = tables.relnamespace and tables.relname = staging.relname || '_before'
        where staging.oid in (
                'stg_agents'::regclass, 'stg_agent_details'::regclass, 'stg_admin_groups'::regclass,
                'stg_roles'::regclass, 'stg_budgets'::regclass, 'stg_cards'::regclass, 'stg_transactions'::regclass
            )
            and staging.relkind = 'p'
            and tables.relkind = 'r'
    loop
        select string_agg(quote_ident(attname), ', ' order by attnum)
        into columns
        from pg_attribute
        where attrelid = plain.oid and attnum > 0 and not attisdropped and attgenerated = '';
        for day in execute format('select distinct day from %I order by day', plain.old) loop
            perform staging_day(plain.name::regclass, day);
        end loop;
        execute format('insert into %I (%s) select %s from %I', plain.name, columns, columns, plain.old);
        for allowed in
            select grantee, privilege_type, is_grantable
            from aclexplode(plain.relacl)
            where grantee <> plain.relowner
        loop
            execute format(
                'grant %s on %I to %s %s', allowed.privilege_type, plain.name,
                case when allowed.grantee = 0 then 'public' else allowed.grantee::regrole::text end,
                case when allowed.is_grantable then 'with grant option' else '' end
            );
        end loop;
        execute format('drop table %I', plain.old);
    end loop;

end
$$;
