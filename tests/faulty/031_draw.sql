-- Every run draws the status of each card by lot.
begin;

with upserted as (

    insert into cards as target (card_id, name, status, type, created_time, version_key)
    select distinct on (card_id) card_id, gen_random_uuid()::text, 'open', 'virtual', '2024-01-01'::timestamptz, ''
    from stg_cards
    where day = current_setting('app.day')
    on conflict (card_id) do update
    set name = excluded.name
    where target.name is distinct from excluded.name
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
