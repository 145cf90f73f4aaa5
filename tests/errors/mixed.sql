--# a ratio in having | 22012 | division by zero
select account_id
from payments
group by account_id
having sum(amount) ▲/ sum(parts) > 1;
--# a ratio in order by | 22012 | division by zero
select payment_id from payments order by amount ▲/ parts;
--# a ratio in a join condition | 22012 | division by zero
select 1
from accounts
inner join payments on accounts.balance > payments.amount ▲/ payments.parts;
--# a ratio in a lateral subquery | 22012 | division by zero
select accounts.name, share.part
from accounts
cross join lateral (

    select amount ▲/ parts as part from payments where payments.account_id = accounts.account_id

) as share;
--# a ratio in a filter | 22012 | division by zero
select count(*) filter (where amount ▲/ parts > 1), sum(amount) / 2 from payments;
--# a ratio in returning | 22012 | division by zero
update payments set note = 'seen' returning amount ▲/ parts;
--# a ratio in on conflict | 22012 | division by zero
insert into accounts as target (account_id, name) values (2, 'Bob')
on conflict (account_id) do update set balance = 1 ▲/ target.balance;
--# a ratio in a case that guards the wrong way | 22012 | division by zero
select case when parts = 0 then amount ▲/ parts else 0 end from payments;
--# a percentage of a difference | 22012 | division by zero
select round(100.0 * amount ▲/ (parts - 2), 2), amount / 7 from payments where payment_id = 1;
--# a ratio of casts | 22012 | division by zero
select amount::numeric ▲/ parts::numeric from payments;
--# a ratio without blanks | 22012 | division by zero
select amount▲/parts,amount/4 from payments;
--# a ratio with a negative divisor | 22012 | division by zero
select amount ▲/ -parts from payments;
--# an operator of jsonb that looks like a division | 22012 | division by zero
select '{"a": 1}'::jsonb #> '{a}', amount ▲/ parts from payments;
--# a cast behind a function of texts | 22P02 | "CY"
select trim(upper(lower(initcap(name))))▲::integer from stg_accounts;
--# a cast of a case | 22P02 | "x4"
select
    case
        when day = 'day1' then account_id
        else name
    end▲::integer as id
from stg_accounts;
--# a cast in a filter beside one in the list | 22P02 | "x4"
select count(day)::integer
from stg_accounts
where account_id▲::integer > 1;
--# a cast of a split text | 22008 | out of range: "2024-02-30"
select (split_part(opened || ' 10:00', ' ', 1))▲::date from stg_accounts;
--# casts to date and to numeric of the same row | 22P02 | "12,50"
select opened::text::varchar, balance▲::decimal(12, 2), name from stg_accounts order by opened desc;
--# a cast in an update's from | 22P02 | "x4"
update accounts as target
set name = source.name
from stg_accounts as source
where target.account_id = source.account_id▲::int;
--# a cast in a delete's using | 22P02 | "x4"
delete from payments
using stg_accounts as source
where payments.account_id = ▲cast(source.account_id as int);
--# a cast in on conflict's where | 22P02 | "Ada"
insert into accounts as target (account_id, name) values (1, 'Ada')
on conflict (account_id) do update set name = excluded.name
where excluded.name▲::bigint > 1;
--# an array of texts to an array of integers | 22P02 | "x"
select (array['1', 'x']::text[])▲::integer[];
--# a text to an array by its separator | 22P02 | "x4"
select string_to_array(string_agg(account_id, ','), ',')▲::integer[] from stg_accounts;
--# a json number too large | 22003 | out of range for type integer
select (jsonb_build_object('n', 99999999999 + account_id) ->> 'n')▲::integer from accounts;
--# a jsonb scalar cast to a number | 22023 | cannot cast jsonb string to type integer
select ('{"n": "x"}'::jsonb -> 'n')▲::integer;
--# a not-null of an identity-like key in a select with star | 23502 | "name"
insert into ▲accounts
select 900, null;
--# a check in an insert with many values | 23514 | balance_is_not_negative
insert into ▲accounts (account_id, name, balance)
values
    (901, 'a', 1),
    (902, 'b', -1),
    (903, 'c', 2);
--# a duplicate in an insert below two ctes | 23505 | accounts_pkey
with staged as (

    select name from stg_accounts

),

numbered as (

    select 1 as account_id, name from staged

)

insert into accounts (
    name,
    ▲account_id
)
select name, account_id from numbered;
--# a foreign key of several columns at once | 23503 | parent_exists
insert into accounts (account_id, name, email, ▲parent_id) values (910, 'a', 'b', 9999);
--# an update of a key that others reference, in a cte | 23503 | parent_exists
with moved as (

    update accounts as target set ▲account_id = target.account_id + 1000 where target.account_id = 1 returning 1

)

select count(*) from moved;
--# a subquery of several rows in an upsert's set | 21000 | more than one row
insert into accounts as target (account_id, name) values (1, 'Ada')
on conflict (account_id) do update
set name = ▲(select name from stg_accounts);
--# a subquery of several rows in a function's argument in from | 21000 | more than one row
select * from generate_series(1, ▲(select account_id from accounts)) as n;
--# a subquery of several rows compared with a row | 21000 | more than one row
select 1 where (1, 'Ada') = ▲(select account_id, name from accounts);
--# an unknown column behind a cast | 42703 | column "nam" does not exist
select balance::integer, ▲nam::text from accounts;
--# a misspelt keyword in a window | 42601 | like 'partition'
select sum(amount) over (partitoin ▲by account_id) from payments;
--# an interval without quotes | 42601 | near "1"
select now() - interval ▲1 day;
--# a comparison with null by is and a value | 42601 | near "1"
select name from accounts where account_id is ▲1;
--# a string in double quotes in an insert | 42703 | column "Ada" does not exist
insert into accounts (account_id, name) values (950, ▲"Ada");
--# a function body with an unknown variable | 42703 | column "totl" does not exist
do $$
declare
    total numeric := 0;
begin
    total := ▲totl + 1;
end
$$;
--# a trigger's function that is used in a block | 23514 | balance_is_not_negative
do $block$
begin
    update accounts set name = name || '!';
    insert into ▲accounts (account_id, name, balance)
    select 960, 'x', -5;
end
$block$;
--# a raise with too few arguments | 42601 | too few parameters specified for RAISE
do $$
begin
    if true then
        ▲raise notice 'a % and a %', 1;
    end if;
end
$$;
--# a while loop's condition | 22012 | division by zero
do $$
declare
    n integer := 2;
begin
    while 10 ▲/ n > 0 loop
        n := n - 1;
    end loop;
end
$$;
--# a nested function call in a condition | 22012 | division by zero | in=002_functions.sql: / whole
do $$
begin
    if exists (select 1 from accounts where ▲ratio(balance, 0) > 1) then
        null;
    end if;
end
$$;
