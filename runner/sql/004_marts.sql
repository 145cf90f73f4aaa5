-- The marts: which text made each, and when it was refreshed last. One row a mart.
create table runner_marts (

    pipeline text not null,
    -- The materialized view's.
    name text not null,
    checksum text not null,
    made_at timestamptz not null default clock_timestamp(),
    -- The start of the transaction that made its rows: what was committed before is in them.
    refreshed_at timestamptz not null,
    -- The run that refreshed it; empty where somebody did so by hand. A mart that was only made has no day.
    flow_run_id text,
    day text,
    seconds numeric not null,
    constraint runner_marts_pkey primary key (pipeline, name)

);
