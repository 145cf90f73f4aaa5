-- Cards, rows as they come.
begin;

insert into cards (
    card_id,
    card_uuid,
    name,
    user_id,
    user_uuid,
    budget_id,
    budget_uuid,
    last_four,
    valid_thru,
    status,
    type,
    share_budget_funds,
    recurring,
    recurring_limit,
    current_limit,
    current_spent,
    created_time,
    updated_time,
    version_key
)
select distinct on (card_id)
    card_id,
    card_uuid,
    name,
    user_id,
    user_uuid,
    budget_id,
    budget_uuid,
    last_four,
    valid_thru,
    status,
    type,
    share_budget_funds,
    recurring,
    recurring_limit,
    current_limit,
    current_spent,
    created_time,
    updated_time,
    day
from stg_cards
where day = current_setting('app.day')
order by card_id, updated_time desc
on conflict (card_id) do update
set
    card_uuid = excluded.card_uuid,
    name = excluded.name,
    user_id = excluded.user_id,
    user_uuid = excluded.user_uuid,
    budget_id = excluded.budget_id,
    budget_uuid = excluded.budget_uuid,
    last_four = excluded.last_four,
    valid_thru = excluded.valid_thru,
    status = excluded.status,
    type = excluded.type,
    share_budget_funds = excluded.share_budget_funds,
    recurring = excluded.recurring,
    recurring_limit = excluded.recurring_limit,
    current_limit = excluded.current_limit,
    current_spent = excluded.current_spent,
    created_time = excluded.created_time,
    updated_time = excluded.updated_time,
    version_key = excluded.version_key;

commit;
