-- 040_transactions: one row a transaction, newest update wins, priced at the rate of its own date.
-- An older update never overwrites a newer one, whichever day brings it.
-- description: transactions in their currency and in US dollars
-- watermark: transaction_pipeline_state
begin;

-- What the plans below need to know is how large a table is, for which a small sample will do.
set local default_statistics_target = 10;

select require_loaded('transactions');

-- What prices a transaction, once a currency, date and exponent, not once a transaction.
-- Midnights by date_bin: the same dates as by a conversion to UTC, for a fraction of the time.
-- The rate is that of the nearest day that has both legs, the euro's own leg always being 1. The
-- quotient is rounded by whole numbers, because `/` rounds once before round() does: with both
-- legs positive, floor((2 a 10^10 + b) / 2 b) is a / b in units of the tenth decimal, half up.
create temporary table rates on commit drop as
with priced as (

    select
        currency,
        date_bin('1 day', occurred_time, '2000-01-01 00:00Z') as utc_midnight,
        exponent,
        max(updated_time) as last_updated_time
    from stg_transactions
    where day = current_setting('app.day')
    group by currency, utc_midnight, exponent

)

select
    priced.currency,
    priced.utc_midnight,
    priced.exponent,
    priced.last_updated_time,
    round(10::numeric ^ -priced.exponent, priced.exponent) as minor_unit,
    case
        when priced.currency = 'USD' then 1.0000000000
        else div(20000000000 * legs.usd_per_eur + legs.units_per_eur, 2 * legs.units_per_eur) * 0.0000000001
    end as exchange_rate,
    case
        when priced.currency = 'USD' then 'USD'
        when legs.units_per_eur is not null then 'ECB'
    end as fx_source
from priced
cross join lateral (select (priced.utc_midnight at time zone 'UTC')::date as utc_date) as dated
left join lateral (

    select
        usd.units_per_eur as usd_per_eur,
        coalesce(own.units_per_eur, 1) as units_per_eur
    from fx_rates as usd
    left join fx_rates as own
        on own.currency = priced.currency and own.rate_date = usd.rate_date
    where usd.currency = 'USD'
        and usd.rate_date between dated.utc_date - 7 and dated.utc_date
        and (own.currency is not null or priced.currency = 'EUR')
    order by usd.rate_date desc
    limit 1

) as legs on true;

-- Only what is new or differs goes on: an unchanged row is neither sorted nor locked.
create temporary table changed_transactions on commit drop as
with rated as (

    select
        staged.*,
        -- In a subquery of its own, so that it is worked out once and not for each row.
        (select day_order(current_setting('app.day'))) as version_key,
        staged.minor_units * rates.minor_unit as original_amount,
        -- A rate so large that the product would not fit numeric is no rate: it must not stop the day.
        coalesce(
            rates.exchange_rate,
            case when staged.payload_rate > 0 and staged.payload_rate < 1e131000 then round(staged.payload_rate, 10) end
        ) as exchange_rate,
        coalesce(
            rates.fx_source,
            case when staged.payload_rate > 0 and staged.payload_rate < 1e131000 then 'PAYLOAD' else 'MISSING' end
        ) as fx_source
    from stg_transactions as staged
    -- As a document, because processes that work in parallel cannot read a temporary table. Every
    -- transaction has its row here; a left join says so to the planner, which takes it for less.
    left join jsonb_to_recordset((select jsonb_agg(to_jsonb(rates)) from rates)) as rates (
        currency text,
        utc_midnight timestamptz,
        exponent smallint,
        minor_unit numeric,
        exchange_rate numeric,
        fx_source text
    )
        on rates.currency = staged.currency
        and rates.utc_midnight = date_bin('1 day', staged.occurred_time, '2000-01-01 00:00Z')
        and rates.exponent = staged.exponent
    where staged.day = current_setting('app.day')

),

priced as (

    select
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
        currency as original_currency,
        exchange_rate,
        round(original_amount * exchange_rate, 4) as amount_usd,
        fx_source,
        content_hash,
        version_key,
        source_file,
        position
    from rated

)

select
    priced.*,
    current.transaction_id is not null
        and current.updated_time is not distinct from priced.updated_time
        and current.version_key = priced.version_key as is_correction
from priced
left join transactions as current on current.transaction_id = priced.transaction_id
where current.transaction_id is null or (
    -- First what is false for most rows.
    -- amount_usd follows from two of these, and a check holds it to them.
    (
        priced.content_hash,
        priced.original_amount,
        priced.original_currency,
        priced.exchange_rate,
        priced.fx_source,
        priced.version_key
    ) is distinct from (
        current.content_hash,
        current.original_amount,
        current.original_currency,
        current.exchange_rate,
        current.fx_source,
        current.version_key
    )
    and (coalesce(priced.updated_time, '-infinity'), priced.version_key)
        >= (coalesce(current.updated_time, '-infinity'), current.version_key)
);

analyze changed_transactions (transaction_id);

-- What differs from the stored row of the same day and time may do so because it is superseded
-- by the very record that is stored, and that one was left out above.
delete from changed_transactions as changed
using stg_transactions as later
where changed.is_correction
    and later.day = current_setting('app.day')
    and later.transaction_id = changed.transaction_id
    and later.updated_time is not distinct from changed.updated_time
    and (later.source_file, later.position) > (changed.source_file, changed.position);

with context as (

    select
        current_setting('app.flow_run_id') as flow_run_id,
        current_setting('app.day') as day,
        now() as started_at

),

-- The day's other records of a transaction are superseded: the newest, then the last in file
-- order is left. Sorted by key, the rows go into the index in its own order.
newest as (

    select distinct on (transaction_id collate "C") *
    from changed_transactions
    order by
        transaction_id collate "C",
        updated_time desc nulls last,
        source_file desc,
        position desc

),

upserted as (

    insert into transactions as target (
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
    select
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
    from newest
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
        version_key = excluded.version_key
    where (coalesce(excluded.updated_time, '-infinity'), excluded.version_key)
        >= (coalesce(target.updated_time, '-infinity'), target.version_key)
    returning (xmax = 0) as inserted

),

-- The watermark only moves forward, and nothing reads it here: a late record is never dropped.
seen as (

    select max(last_updated_time) as last_processed_time
    from rates

),

watermark as (

    insert into transaction_pipeline_state as target (pipeline_name, last_processed_time)
    select 'transactions', seen.last_processed_time
    from seen
    left join transaction_pipeline_state as current on current.pipeline_name = 'transactions'
    where seen.last_processed_time is not null
        and (current.pipeline_name is null or current.last_processed_time < seen.last_processed_time)
    on conflict (pipeline_name) do update
    set last_processed_time = greatest(target.last_processed_time, excluded.last_processed_time)

),

metrics as (

    select
        count(*) filter (where inserted) as inserted,
        count(*) filter (where not inserted) as updated,
        0 as deleted
    from upserted

),

-- Read from metrics, so that the clock is looked at after the work.
finished as (select metrics.*, clock_timestamp() as finished_at from metrics)

insert into pipeline_metrics (
    flow_run_id,
    task_name,
    pipeline_name,
    table_name,
    day,
    rows_inserted,
    rows_updated,
    rows_deleted,
    rows_affected,
    status,
    started_at,
    finished_at,
    duration_seconds
)
select
    context.flow_run_id,
    'transactions_task',
    'transactions',
    'transactions',
    context.day,
    finished.inserted,
    finished.updated,
    finished.deleted,
    finished.inserted + finished.updated + finished.deleted,
    'success',
    context.started_at,
    finished.finished_at,
    extract(epoch from finished.finished_at - context.started_at)
from finished
cross join context;

commit;
