-- Transactions, rows as they come, priced where the very date has a rate.
begin;

insert into transactions (
    transaction_id,
    transaction_uuid,
    transaction_type,
    occurred_time,
    updated_time,
    user_id,
    user_uuid,
    user_name,
    merchant_name,
    raw_merchant_name,
    card_id,
    card_uuid,
    budget_id,
    budget_uuid,
    original_amount,
    original_currency,
    exchange_rate,
    amount_usd,
    fx_source,
    version_key
)
select distinct on (transaction_id)
    transaction_id,
    transaction_uuid,
    transaction_type,
    occurred_time,
    updated_time,
    user_id,
    user_uuid,
    user_name,
    merchant_name,
    raw_merchant_name,
    card_id,
    card_uuid,
    budget_id,
    budget_uuid,
    original_amount,
    staged.currency,
    exchange_rate,
    round(original_amount * exchange_rate, 4),
    case when exchange_rate is null then 'MISSING' else 'ECB' end,
    day
from stg_transactions as staged
left join fx_rates as usd
    on usd.currency = 'USD' and usd.rate_date = (occurred_time at time zone 'UTC')::date
left join fx_rates as own
    on own.currency = staged.currency and own.rate_date = usd.rate_date
cross join lateral (

    select
        minor_units / 10::numeric ^ exponent as original_amount,
        round(usd.units_per_eur / own.units_per_eur, 10) as exchange_rate

) as priced
where day = current_setting('app.day')
order by transaction_id, updated_time desc
on conflict (transaction_id) do update
set
    transaction_uuid = excluded.transaction_uuid,
    transaction_type = excluded.transaction_type,
    occurred_time = excluded.occurred_time,
    updated_time = excluded.updated_time,
    user_id = excluded.user_id,
    user_uuid = excluded.user_uuid,
    user_name = excluded.user_name,
    merchant_name = excluded.merchant_name,
    raw_merchant_name = excluded.raw_merchant_name,
    card_id = excluded.card_id,
    card_uuid = excluded.card_uuid,
    budget_id = excluded.budget_id,
    budget_uuid = excluded.budget_uuid,
    original_amount = excluded.original_amount,
    original_currency = excluded.original_currency,
    exchange_rate = excluded.exchange_rate,
    amount_usd = excluded.amount_usd,
    fx_source = excluded.fx_source,
    version_key = excluded.version_key;

commit;
