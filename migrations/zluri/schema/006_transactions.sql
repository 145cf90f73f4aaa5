-- Transactions, the rates that price them, and their watermark.

-- Reference rates: units of a currency for one euro, so the euro itself has no row.
-- Serves `the newest rate of a currency in these eight days` from its key.
create table fx_rates (

    currency text collate "C" not null,
    rate_date date not null,
    units_per_eur numeric not null,
    source text not null,
    constraint fx_rates_pkey primary key (currency, rate_date),
    constraint rate_is_positive check (units_per_eur > 0),
    constraint euro_is_the_base check (currency <> 'EUR')

);

-- Budgets, cards and users that no file names are harmless here: no foreign keys.
create table transactions (

    transaction_id text collate "C" not null,
    occurred_time timestamptz not null,
    updated_time timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            transaction_uuid, transaction_type, occurred_time, updated_time, user_id, user_uuid,
            user_name, merchant_name, raw_merchant_name, card_id, card_uuid, budget_id, budget_uuid
        ), 0)
    ) stored,
    version_key text collate "C" not null,
    original_amount numeric not null,
    original_currency text not null,
    exchange_rate numeric,
    amount_usd numeric,
    fx_source text not null,
    transaction_uuid text not null,
    transaction_type text,
    user_id text,
    user_uuid text,
    user_name text,
    merchant_name text,
    raw_merchant_name text,
    card_id text,
    card_uuid text,
    budget_id text,
    budget_uuid text,
    constraint transactions_pkey primary key (transaction_id),
    constraint currency_is_three_capitals check (length(original_currency) = 3 and original_currency = upper(original_currency)),
    constraint fx_source_is_known check (fx_source in ('USD', 'ECB', 'PAYLOAD', 'MISSING')),
    constraint missing_has_no_rate check ((fx_source = 'MISSING') = (exchange_rate is null)),
    constraint amount_is_priced check (amount_usd is not distinct from round(original_amount * exchange_rate, 4)),
    -- A rate above 0 may still round to 0 at its tenth decimal.
    constraint exchange_rate_is_not_negative check (exchange_rate >= 0),
    constraint dollars_are_priced_at_one check (fx_source <> 'USD' or exchange_rate = 1)

);

-- The newest update seen. It informs; no step filters by it.
create table transaction_pipeline_state (

    pipeline_name text not null,
    last_processed_time timestamptz not null,
    constraint transaction_pipeline_state_pkey primary key (pipeline_name)

);
