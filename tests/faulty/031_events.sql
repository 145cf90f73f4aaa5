-- A table without a key gets a row a card and run.
begin;

with inserted as (

    insert into card_events (card_id, day, status)
    select card_id, day, status
    from stg_cards
    where day = current_setting('app.day')
    returning card_id

)

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_affected, status)
select current_setting('app.flow_run_id'), 'cards_task', 'cards', current_setting('app.day'), count(*), count(*), 'success'
from inserted;

commit;
