-- What the checks of steps found. One row a check, run and attempt: `passed` and `warned` ones
-- commit with their step and are about rows that are there; `failed` ones are written after the
-- rollback, beside the step's failure in pipeline_metrics, and are about rows that never were.
create table check_results (

    id bigint generated always as identity,
    pipeline text not null,
    step text not null,
    check_name text not null,
    severity text not null,
    flow_run_id text not null,
    day text not null,
    attempt integer not null,
    status text not null,
    rows_failed bigint not null,
    -- An array of the first rows, each an object. Not jsonb, which would sort the columns.
    sample json not null,
    seconds numeric not null,
    checked_at timestamptz not null default clock_timestamp(),
    constraint check_results_pkey primary key (id),
    constraint severity_is_known check (severity in ('error', 'warn')),
    constraint status_is_known check (status in ('passed', 'warned', 'failed')),
    constraint passed_without_rows check ((status = 'passed') = (rows_failed = 0)),
    constraint status_fits_severity check (status = 'passed' or (status = 'failed') = (severity = 'error'))

);

create index check_results_day on check_results (day, pipeline);
