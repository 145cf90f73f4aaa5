-- How long the phases of a load took, and a partition of staging for each day.
-- upgrades: 001_bookkeeping@ad15d632409b1aba, 001_bookkeeping@8c989c2aa1edf967
--
-- For a while 001_bookkeeping made some of this, or all; so nothing here minds what is there already.

-- The seconds of stg_loads until now are those of all workers together. These are by the clock, of all
-- entities that were loaded together: to find the files and tell whether they are new, to start the
-- engine, to read and copy, to look at the copy and publish it. Empty for loads that came before.
alter table stg_loads
    add column if not exists engine text,
    add column if not exists plan_seconds numeric,
    add column if not exists start_seconds numeric,
    add column if not exists copy_seconds numeric,
    add column if not exists publish_seconds numeric;

-- The partition of a staging table that holds a day, null where there is none.
create or replace function staging_partition(staging regclass, day text) returns regclass
language sql stable
return (

    select inhrelid::regclass
    from pg_inherits
    inner join pg_class as partition on partition.oid = inhrelid
    where inhparent = staging and pg_get_expr(partition.relpartbound, partition.oid) = format('FOR VALUES IN (%L)', day)

);

-- What a day's partition is called. Partitions have a schema of their own: they are many, and nobody
-- reads one by its name. No table's name ends like theirs, and a long one is told from others by a digest.
create or replace function staging_partition_name(staging regclass, day text) returns text
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
create or replace function staging_day(staging regclass, day text) returns regclass
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
