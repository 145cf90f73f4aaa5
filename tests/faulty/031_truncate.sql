-- The table is what the day at hand has.
begin;

truncate card_history;

with inserted as (

    insert into card_history (card_id, day, status)
    select distinct on (card_id) card_id, 'now', status
    from stg_cards
    where day = current_setting('app.day')
    order by card_id, position
    returning card_id

)

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_affected, status)
select current_setting('app.flow_run_id'), 'cards_task', 'cards', current_setting('app.day'), count(*), count(*), 'success'
from inserted;

commit;
