-- The runner's own tables. Applied once, in one transaction, before any schema file.

create table schema_history (

    pipeline text not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp(),
    seconds numeric not null,
    constraint schema_history_pkey primary key (pipeline, name)

);

-- One row a step, run and attempt. The columns from `flow_run_id` to `duration_seconds`
-- are what a step writes; those with a default are filled from the runner's settings,
-- so that a step need not name them and one run by psql leaves them empty.
create table pipeline_metrics (

    id bigint generated always as identity,
    flow_run_id text not null,
    task_name text not null,
    pipeline_name text not null,
    table_name text,
    day text not null,
    attempt integer not null default coalesce(nullif(current_setting('app.attempt', true), '')::integer, 1),
    rows_inserted bigint not null default 0,
    rows_updated bigint not null default 0,
    rows_deleted bigint not null default 0,
    rows_affected bigint,
    status text not null,
    error_message text,
    started_at timestamptz not null default now(),
    finished_at timestamptz not null default clock_timestamp(),
    duration_seconds numeric,
    pipeline text default nullif(current_setting('app.pipeline', true), ''),
    step text default nullif(current_setting('app.step', true), ''),
    constraint pipeline_metrics_pkey primary key (id),
    constraint status_is_known check (status in ('success', 'failure', 'skipped')),
    constraint failure_has_a_message check ((status = 'failure') = (error_message is not null)),
    constraint counts_are_not_negative check (rows_inserted >= 0 and rows_updated >= 0 and rows_deleted >= 0),
    constraint affected_is_the_sum check (rows_affected = rows_inserted + rows_updated + rows_deleted),
    constraint finished_after_started check (finished_at >= started_at)

);

-- A step that finds its own success is done: at most one for a run, step and day.
create unique index one_success_per_run on pipeline_metrics (flow_run_id, task_name, day)
where status = 'success';

create index pipeline_metrics_day on pipeline_metrics (day, pipeline);

-- The load that readers of the stg_ tables see: one row a day and entity. `seconds` are those of all
-- workers together; the others are by the clock, of all entities that were loaded together: to find the
-- files and tell whether they are new, to start the engine, to read and copy, to look at the copy and
-- publish it.
create table stg_loads (

    pipeline text not null,
    day text not null,
    entity text not null,
    records_read bigint not null,
    rows_loaded bigint not null,
    rejects bigint not null,
    warnings bigint not null,
    files bigint not null,
    bytes bigint not null,
    fingerprint text not null,
    flow_run_id text not null,
    loaded_at timestamptz not null default clock_timestamp(),
    seconds numeric not null,
    engine text,
    plan_seconds numeric,
    start_seconds numeric,
    copy_seconds numeric,
    publish_seconds numeric,
    constraint stg_loads_pkey primary key (pipeline, day, entity),
    constraint nothing_is_lost check (records_read = rows_loaded + rejects)

);

-- What did not become a staging row (`reject`), and what did with a field missing (`warning`).
-- `record_key` is the record's key where that alone was valid, so that a rejected record can be named.
create table stg_rejects (

    pipeline text not null,
    day text not null,
    entity text not null,
    severity text not null,
    reason text not null,
    field text,
    source_file text collate "C" not null,
    position bigint not null,
    record_key text,
    raw_value text,
    raw_record text,
    constraint severity_is_known check (severity in ('reject', 'warning'))

);

create index stg_rejects_day on stg_rejects (pipeline, day, entity);

-- Reference data that does not belong to a day, such as exchange rates.
create table reference_loads (

    name text not null,
    fingerprint text not null,
    loaded_at timestamptz not null default clock_timestamp(),
    constraint reference_loads_pkey primary key (name)

);

-- Who runs a day. It names the holder to those who come second; the locks inside
-- the transactions, not this table, keep two runs apart.
create table runner_leases (

    pipeline text not null,
    day text not null,
    flow_run_id text not null,
    host text not null,
    pid integer not null,
    since timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    constraint runner_leases_pkey primary key (pipeline, day)

);

-- The partition of a staging table that holds a day, null where there is none.
create function staging_partition(staging regclass, day text) returns regclass
language sql stable
return (

    select inhrelid::regclass
    from pg_inherits
    inner join pg_class as partition on partition.oid = inhrelid
    where inhparent = staging and pg_get_expr(partition.relpartbound, partition.oid) = format('FOR VALUES IN (%L)', day)

);

-- What a day's partition is called. Partitions have a schema of their own: they are many, and nobody
-- reads one by its name. No table's name ends like theirs, and a long one is told from others by a digest.
create function staging_partition_name(staging regclass, day text) returns text
language sql stable
return (

    select case
        when octet_length(relname || '@' || day) <= 63 then relname || '@' || day
        else left(relname || '@' || day, 50) || '~' || left(md5(relname || '@' || day), 12)
    end
    from pg_class
    where oid = staging

);

-- The partition of a day, made where there is none: for whoever fills staging by hand. A load needs no
-- such call. A table that is not partitioned by day holds all days itself.
create function staging_day(staging regclass, day text) returns regclass
language plpgsql as $$
declare

    found regclass := staging_partition(staging, day);

begin

    if found is not null or not exists (select from pg_partitioned_table where partrelid = staging) then
        return coalesce(found, staging);
    end if;
    if to_regnamespace('staging_days') is null then
        create schema staging_days;
    end if;
    execute format(
        'create table staging_days.%I partition of %s for values in (%L)',
        staging_partition_name(staging, day), staging, day
    );
    return staging_partition(staging, day);

end
$$;
