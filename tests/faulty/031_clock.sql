-- A card keeps the time of the run that brought it.
begin;

with inserted as (

    insert into cards (card_id, name, status, type, created_time, version_key)
    select card_id, null, 'open', 'virtual', now(), ''
    from stg_cards as staged
    where staged.day = current_setting('app.day')
        and not exists (select from cards where cards.card_id = staged.card_id)

    on conflict (card_id) do nothing
    returning card_id

)

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_affected, status)
select
    current_setting('app.flow_run_id'),
    'cards_task',
    'cards',
    current_setting('app.day'),
    count(*),
    count(*),
    'success'
from inserted;

commit;
