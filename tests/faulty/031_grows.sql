-- What is spent is added to what is stored.
begin;

with upserted as (

    insert into cards as target (card_id, current_spent, status, type, created_time, version_key)
    select card_id, current_spent, status, type, created_time, day_order(current_setting('app.day'))
    from stg_cards
    where day = current_setting('app.day') and current_spent > 0 and position = 1
    on conflict (card_id) do update
    set current_spent = target.current_spent + excluded.current_spent
    returning (xmax = 0) as inserted

)

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_updated, rows_affected, status)
select
    current_setting('app.flow_run_id'),
    'cards_task',
    'cards',
    current_setting('app.day'),
    count(*) filter (where inserted),
    count(*) filter (where not inserted),
    count(*),
    'success'
from upserted;

commit;
