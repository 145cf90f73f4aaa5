--# a whole step, and a staged text is no number | 22P02 | "x4"
-- description: accounts, newest wins
with context as (

    select current_setting('app.flow_run_id') as flow_run_id, now() as started_at

),

staged as (

    select
        account_id▲::integer as account_id,
        name,
        opened::text as opened
    from stg_accounts
    where day = current_setting('app.day')

),

upserted as (

    insert into accounts as target (account_id, name)
    select account_id, name from staged
    on conflict (account_id) do update
    set name = excluded.name
    where target.name is distinct from excluded.name
    returning (xmax = 0) as inserted

),

metrics as (

    select
        count(*) filter (where inserted) as rows_inserted,
        count(*) filter (where not inserted) as rows_updated
    from upserted

),

finished as (select clock_timestamp() as finished_at from metrics)

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_updated, status)
select context.flow_run_id, 'accounts_task', 'accounts', 'day1', rows_inserted, rows_updated, 'success'
from context cross join metrics cross join finished;
--# two casts to one type, one value tells which | 22P02 | "12,50"
select
    account_id::text,
    balance▲::numeric,
    (1::text || '0')::integer
from stg_accounts;
--# two casts to one type, and neither is surer than the other | 22P02 | "x4"
select
    length(name)::integer,
    account_id▲::integer
from stg_accounts;
--# the division among casts and a cross join | 22012 | division by zero
with totals as (

    select account_id, sum(amount) as paid, sum(parts) as parts
    from payments
    group by account_id

)

select
    accounts.name,
    round(totals.paid ▲/ totals.parts, 2) as each_part,
    'a/b'::text as kind
from accounts
inner join totals on totals.account_id = accounts.account_id;
--# a share of a sum that is zero | 22012 | division by zero
select
    account_id,
    balance ▲/ sum(balance) over (partition by account_id) as share,
    100 * (balance + 1) / 2 as half
from accounts;
--# two divisions by columns, and the second is the one | 22012 | division by zero
select
    amount / payment_id as first,
    amount ▲/ parts as second
from payments;
-- Only the rows tell which of the two it was: the message points at the first, and names this place, too.
--# a not-null in the second of two upserts | 23502 | "account_id"
with new_accounts as (

    insert into accounts (account_id, name)
    select 300 + row_number() over (), name from stg_accounts
    returning account_id, name

)

insert into payments (payment_id, ▲account_id, note)
select 300 + row_number() over (), case when name = 'Di' then null else account_id end, name
from new_accounts;
--# a unique index broken by a merge | 23505 | one_account_an_address
merge into accounts as target
using stg_accounts as source on target.name = source.name
when not matched then insert (account_id, name, ▲email)
values (400 + length(source.details), source.name, 'same@example.com');
--# a not-null broken by a merge's update | 23502 | "name"
merge into accounts as target
using (select 1 as id) as source on target.account_id = source.id
when matched then update set ▲name = null;
--# a check broken by a cte's update | 23514 | balance_is_not_negative
with paid as (

    select account_id, sum(amount) as amount from payments group by account_id

),

charged as (

    update ▲accounts as target
    set balance = target.balance - paid.amount
    from paid
    where paid.account_id = target.account_id
    returning target.account_id

)

select count(*) from charged;
--# a foreign key broken by a cte's delete | 23503 | parent_exists
with gone as (

    delete from ▲accounts as target
    using (select 1 as account_id) as old
    where target.account_id = old.account_id
    returning target.account_id

)

select count(*) from gone;
--# a number of a json field | 22P02 | "many"
select
    name,
    (details ->> 'n')▲::integer as number
from (values ('a', '{"n": 1}'::jsonb), ('b', '{"n": "many"}'::jsonb)) as staged (name, details);
--# elements of what is no array | 22023 | cannot extract elements
select name, tag
from (values ('a', '{"tags": {}}'::jsonb)) as staged (name, details)
cross join lateral ▲jsonb_array_elements_text(staged.details -> 'tags') as tag;
--# a date made of parts | 22008 | date field value out of range
select ▲make_date(split_part(opened, '-', 1)::integer, split_part(opened, '-', 2)::integer, 31)
from stg_accounts
where opened = '2024-02-30';
--# a time stamp of a text | 22007 | invalid input syntax for type timestamp with time zone
select name▲::timestamptz at time zone 'UTC' from stg_accounts;
--# a time stamp without its zone | 22007 | invalid input syntax for type timestamp
select cast(opened as text), ▲cast(name as timestamp) from stg_accounts;
--# an interval of a text | 22007 | invalid input syntax for type interval
select now() - (name || ' days')▲::interval from stg_accounts;
--# a scalar subquery in a case | 21000 | more than one row
select
    name,
    case
        when balance > 0 then ▲(select amount from payments)
        else (select max(amount) from payments)
    end as amount
from accounts;
--# a scalar subquery as an argument | 21000 | more than one row
select coalesce(▲(select name from accounts), 'nobody');
--# a scalar subquery beside one that counts | 21000 | more than one row
select
    (select count(*) from accounts) as accounts,
    ▲(select account_id from accounts where account_id < 3) as payments;
--# a scalar subquery in values | 21000 | more than one row
insert into accounts (account_id, name)
values (500, ▲(select name from accounts));
--# a wide number in a narrow column of an upsert | 22003 | precision 10, scale 2
insert into accounts as target (account_id, name, ▲balance)
select 600, 'Rich', 1e12
on conflict (account_id) do update set balance = excluded.balance;
--# a long text in a narrow column of an update from staging | 22001 | character varying(3)
update accounts as target
set name = source.name, ▲code = source.opened
from stg_accounts as source
where target.account_id = 1;
--# a wide number in an integer column | 22003 | integer out of range
insert into accounts (▲account_id, name) select 3000000000, 'Far';
--# a sum of integers in an integer column | 22003 | integer out of range
update payments set ▲parts = (select sum(payment_id) * 9000000000 from payments);
--# a product that is too large, beside one that is not | 22003 | integer out of range
select parts + 1, account_id ▲* 2147483647 from payments;
--# an index over a cast | 22P02 | "x4"
create index on stg_accounts ((account_id▲::integer));
--# a table made of a query | 22012 | division by zero
create temporary table each_part on commit drop as
select payment_id, amount ▲/ parts as each_part
from payments;
--# a function of a schema file inside a cte of an insert | 22012 | division by zero | in=002_functions.sql: / whole
with shares as (

    select account_id, ▲ratio(balance, account_id - 1) as share from accounts

)

insert into shares (account_id, day, part)
select account_id, 'day1', share::integer from shares;
--# two calls of a function in one statement | 22012 | division by zero | in=002_functions.sql: / whole
select ratio(1, 2), ▲ratio(balance, 0) from accounts;
-- The server names the function, not which of its calls: the message points at the first, and names this one, too.
--# a trigger on the second of two written tables | P0001 | is forbidden | in=002_functions.sql: raise exception 'payment
with renamed as (

    update accounts set email = null where account_id = 1 returning account_id

)

insert into ▲payments (payment_id, account_id, note)
select 700, account_id, 'forbidden' from renamed;
--# a view below a common table expression | 22012 | division by zero | in=002_functions.sql: / parts as each_part
with per_payment as (

    select payment_id, each_part from ▲amounts_per_part where each_part > 1

)

select count(*) from per_payment;
--# a loop over accounts with an upsert in it | 23514 | balance_is_not_negative
do $$
declare
    account record;
begin
    for account in select account_id, balance from accounts order by account_id loop
        if account.balance < 50 then
            update ▲accounts
            set balance = account.balance - 50
            where account_id = account.account_id;
        end if;
    end loop;
end
$$;
--# a foreach over an array with a cast in it | 22P02 | "b"
do $$
declare
    value text;
    total integer := 0;
begin
    foreach value in array array['1', 'b'] loop
        total := total + value▲::integer;
    end loop;
end
$$;
--# a variable of the wrong type | 22P02 | "Ada"
do $$
declare
    number integer;
begin
    ▲select name into number from accounts order by account_id limit 1;
end
$$;
--# a return query | 22012 | division by zero
create function pg_temp.parts_of() returns setof numeric
language plpgsql as $$
begin
    return query
        select amount △/ parts from payments;
end
$$;
select * from ▲pg_temp.parts_of();
--# a default argument | 22012 | division by zero
create function pg_temp.part_of(amount numeric, parts integer default 0) returns numeric
language plpgsql as $function$
begin
    return amount △/ parts;
end
$function$;
select ▲pg_temp.part_of(10);
--# an exception block that fails itself | 22012 | division by zero
do $$
begin
    perform 'x'::text::integer;
exception when others then
    perform 1 ▲/ 0;
end
$$;
--# dynamic SQL with a name that is missing | 42P01 | relation "accounts_2024" does not exist
do $$
declare
    year text := '2024';
begin
    ▲execute format('truncate accounts_%s', year);
end
$$;
--# get diagnostics of something unknown | 42601 | unrecognized GET DIAGNOSTICS item
do $$
declare
    count bigint;
begin
    get diagnostics count = ▲rows_count;
end
$$;
--# loop without its end | 42601 | near ";"
do $$
begin
    for i in 1 .. 3 loop
        perform i;
    end ▲;
end
$$;
--# a cte that is read by a misspelt name | 42P01 | relation "newst" does not exist
with newest as (

    select distinct on (account_id) account_id, name
    from stg_accounts
    order by account_id, opened desc

)

insert into accounts (account_id, name)
select account_id::integer, name
from ▲newst;
--# a column that a cte does not pass on | 42703 | column newest.opened does not exist
with newest as (

    select account_id, name from stg_accounts

)

select newest.name, ▲newest.opened
from newest;
--# a parenthesis too many in a nested call | 42601 | near ")"
select
    coalesce(nullif(trim(name), ''), 'nobody')▲) as name
from stg_accounts;
--# an alias without as that is reserved | 42601 | near "over"
select name ▲over from accounts;
--# filter before the aggregate's parenthesis | 42601 | near "filter"
select count(* ▲filter (where true)) from accounts;
--# xmax of a joined row | 42703 | column "xmax" does not exist
select ▲xmax from accounts inner join payments using (account_id);
--# array_agg over a set of rows, compared with a text | 22P02 | malformed array literal
select account_id from payments group by account_id having array_agg(note) = ▲'a';
--# a window in an update | 42P20 | window functions are not allowed in UPDATE
update payments set parts = ▲row_number() over (order by payment_id);
--# a returning of a table that is not the target | 42P01 | FROM-clause entry for table "source"
insert into accounts (account_id, name)
select 800, source.name from stg_accounts as source
returning ▲source.name;
