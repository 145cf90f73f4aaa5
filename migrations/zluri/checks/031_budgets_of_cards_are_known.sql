-- check: 031_cards
-- severity: warn
-- description: cards of the day whose budget no budgets file has
select
    cards.card_id,
    cards.name,
    cards.budget_id
from cards
left join budgets on budgets.budget_id = cards.budget_id
where cards.version_key = (select day_order(current_setting('app.day')))
    and cards.budget_id is not null
    and budgets.budget_id is null
order by cards.card_id
