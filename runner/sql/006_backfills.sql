-- Which days a backfill was asked for, and how each of them ended: what one that was killed goes on by.

-- A range of days (first_day, last_day) or a list (days).
create table runner_backfills (

    id text not null,
    pipeline text not null,
    first_day text,
    last_day text,
    days text[] not null,
    chunk_mode text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    constraint runner_backfills_pkey primary key (id),
    constraint chunk_mode_is_known check (chunk_mode in ('daily', 'weekly', 'monthly')),
    constraint range_or_list check (

        (first_day is null) = (last_day is null) and (first_day is null) = (cardinality(days) > 0)

    )

);

create index runner_backfills_pipeline on runner_backfills (pipeline, started_at);

-- The newest end of a day. `steps` is the checksum of the steps and checks that it was done with: a day that was done
-- with others is not done any more.
create table runner_backfill_days (

    backfill text not null,
    day text not null,
    status text not null,
    flow_run_id text not null,
    steps text not null,
    error_message text,
    seconds numeric not null,
    finished_at timestamptz not null default clock_timestamp(),
    constraint runner_backfill_days_pkey primary key (backfill, day),
    constraint runner_backfill_days_backfill foreign key (backfill) references runner_backfills (id) on delete cascade,
    constraint status_is_known check (status in ('done', 'failed', 'held')),
    constraint done_without_error check ((status = 'done') = (error_message is null))

);
