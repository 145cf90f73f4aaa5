-- What has arrived of each day, and which run was asked for on its account. The newest generation of a day is
-- what the sensor compares the files with; those before tell which content called for which run.
create table arrivals (

    pipeline text not null,
    day text not null,
    generation integer not null,
    -- Of names, sizes and ETags or times of all files, in any order.
    fingerprint text not null,
    files bigint not null,
    bytes bigint not null,
    newest_file_at timestamptz not null,
    -- `triggering` is committed before a run is asked for and `triggered` after it, so that whoever comes after
    -- a kill asks again with the same key, for which there is one run. `loaded` was in staging before anyone looked.
    status text not null,
    idempotency_key text,
    flow_run_id text,
    seen_at timestamptz not null default clock_timestamp(),
    triggered_at timestamptz,
    constraint arrivals_pkey primary key (pipeline, day, generation),
    constraint status_is_known check (status in ('seen', 'triggering', 'triggered', 'loaded')),
    constraint triggered_with_a_key check (
        (status in ('triggering', 'triggered')) = (idempotency_key is not null)
    ),
    constraint triggered_has_a_time check ((status = 'triggered') = (triggered_at is not null))

);
