-- check: 031_cards
-- severity: error
-- description: cards that are missing, or older than a record of the day
select
    staged.card_id,
    staged.updated_time,
    cards.updated_time as stored_updated_time,
    staged.source_file,
    staged.position
from stg_cards as staged
left join cards on cards.card_id = staged.card_id
where staged.day = current_setting('app.day')
    and (
        cards.card_id is null
        or (coalesce(cards.updated_time, '-infinity'), cards.version_key)
            < (coalesce(staged.updated_time, '-infinity'), (select day_order(current_setting('app.day'))))
    )
order by staged.card_id
