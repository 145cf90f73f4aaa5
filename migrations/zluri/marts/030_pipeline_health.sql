-- 030_pipeline_health: how the runs of each day went; what runner prune has taken away is not in it.
-- description: runs, failures and time of the steps, by day
create materialized view pipeline_health as
select
    day,
    count(distinct flow_run_id) as runs,
    count(*) filter (where status = 'success') as steps_done,
    count(*) filter (where status = 'skipped') as steps_skipped,
    count(*) filter (where status = 'failure') as failures,
    count(distinct flow_run_id) filter (where status = 'failure') as runs_with_failures,
    count(*) filter (where attempt > 1) as retries,
    sum(rows_affected) as rows_changed,
    round(sum(duration_seconds), 3) as seconds,
    max(finished_at) filter (where status = 'success') as last_success_at,
    max(finished_at) filter (where status = 'failure') as last_failure_at
from pipeline_metrics
-- A step that somebody ran under psql has written no pipeline.
where coalesce(pipeline, 'zluri') = 'zluri'
group by day;

create unique index pipeline_health_key on pipeline_health (day);
