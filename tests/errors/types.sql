--# text compared with a number | 42883 | operator does not exist: text = integer
select * from stg_accounts where account_id ▲= 3;
--# join over different types | 42883 | operator does not exist: integer = text
select accounts.name
from accounts
inner join stg_accounts on accounts.account_id ▲= stg_accounts.account_id;
--# text inserted into an integer | 42804 | column "account_id" is of type integer but expression is of type text
insert into accounts (account_id, name)
select ▲account_id, name from stg_accounts;
--# text assigned to a date | 42804 | column "opened" is of type date but expression is of type text
update accounts set opened = ▲stg_accounts.opened
from stg_accounts
where accounts.name = stg_accounts.name;
--# branches of a case do not match | 42804 | CASE types
select case when true then 1 else ▲now() end;
--# coalesce of different types | 42804 | COALESCE types
select coalesce(opened, ▲balance) from accounts;
--# union of different types | 42804 | UNION types
select account_id from accounts
union all
select ▲name from accounts;
--# where with a number | 42804 | argument of WHERE must be type boolean
select name from accounts where ▲account_id;
--# on with a text | 42804 | argument of JOIN/ON must be type boolean
select 1 from accounts inner join payments on ▲name;
--# limit by a text | 42804 | argument of LIMIT must be type bigint
select name from accounts limit ▲'2024-01-01'::date;
--# date minus text | 42883 | operator does not exist
select opened ▲- name from accounts;
--# cast that does not exist | 42846 | cannot cast type date to integer
select opened▲::integer from accounts;
--# function of another type | 42883 | function date_trunc(unknown, text) does not exist
select ▲date_trunc('day', opened) from stg_accounts;
--# aggregate of text | 42883 | function sum(text) does not exist
select ▲sum(balance) from stg_accounts;
--# json operator on text | 42883 | operator does not exist: text ->> unknown
select details ▲->> 'tags' from stg_accounts;
--# array and element differ | 42883 | operator does not exist: integer = text
select * from accounts where account_id ▲= any (array['1', '2']::text[]);
--# literal of the wrong type in a comparison | 22P02 | invalid input syntax for type integer
select name from accounts where account_id = ▲'one';
--# literal of the wrong type in values | 22P02 | invalid input syntax for type integer
insert into accounts (account_id, name) values (▲'one', 'Ada');
--# literal that is no date | 22007 | invalid input syntax for type date
select name from accounts where opened > ▲'yesterdayish';
--# literal of a day that is not | 22008 | out of range
select date ▲'2024-02-30';
--# literal that is no json | 22P02 | invalid input syntax for type json
select ▲'{"a": }'::jsonb;
--# literal that is no array | 22P02 | malformed array literal
select ▲'1,2'::integer[];
--# array of mixed literals | 22P02 | invalid input syntax for type integer
select array[1, ▲'two'];
--# number too large for its literal | 22003 | out of range for type integer
select ▲'99999999999'::integer;
--# row compared with another width | 42601 | unequal number of entries in row expressions
select (1, 2) ▲= (1, 2, 3);
--# subquery of two columns | 42601 | subquery must return only one column
select name, ▲(select account_id, amount from payments limit 1) from accounts;
--# in with two columns | 42601 | subquery has too many columns
select name from accounts where account_id ▲in (select account_id, amount from payments);
--# assignment of a row to a column | 0A000 | source for a multiple-column UPDATE item
update accounts set (name, email) = ▲'Ada';
--# distinct on and order by differ | 42P10 | must match initial ORDER BY
select distinct on (▲account_id) payment_id from payments order by paid_at;
--# select distinct ordered by something else | 42P10 | must appear in select list
select distinct name from accounts order by ▲email;
--# order by a position that is not | 42P10 | ORDER BY position 3 is not in select list
select account_id, name from accounts order by ▲3;
--# value for a generated column | 428C9 | cannot insert a non-DEFAULT value into column "each"
insert into entries (entry_id, ▲each) values (1, 100);
--# column that is not grouped | 42803 | must appear in the GROUP BY clause
select account_id, ▲note, sum(amount) from payments group by account_id;
--# aggregate in where | 42803 | aggregate functions are not allowed in WHERE
select account_id from payments where ▲sum(amount) > 1 group by account_id;
--# aggregate in an aggregate | 42803 | aggregate function calls cannot be nested
select sum(▲count(*)) from payments;
--# aggregate in set | 42803 | aggregate functions are not allowed in UPDATE
update accounts set balance = ▲sum(1);
--# aggregate in a join | 42803 | aggregate functions are not allowed in JOIN conditions
select 1 from accounts inner join payments on ▲max(payments.account_id) = 1;
--# aggregate in group by | 42803 | aggregate functions are not allowed in GROUP BY
select 1 from payments group by ▲max(amount);
--# window function in where | 42P20 | window functions are not allowed in WHERE
select payment_id from payments where ▲row_number() over (order by payment_id) = 1;
--# window function without over | 42809 | requires an OVER clause
select ▲row_number() from payments;
--# filter on something that is no aggregate | 42809 | FILTER specified, but lower is not an aggregate function
select ▲lower(note) filter (where true) from payments;
--# distinct window aggregate | 0A000 | DISTINCT is not implemented for window functions
select ▲count(distinct note) over () from payments;
--# set-returning function in case | 0A000 | set-returning functions are not allowed in CASE
select case when true then ▲generate_series(1, 2) end;
--# recursion without union | 42P19 | does not have the form non-recursive-term UNION
with recursive ▲line as (

    select account_id, parent_id from line

)

select * from line;
--# recursion in an outer join | 42P19 | must not appear within an outer join
with recursive line as (

    select account_id from accounts where parent_id is null

    union all

    select accounts.account_id
    from accounts
    left join ▲line on accounts.parent_id = line.account_id

)

select * from line;
--# recursion twice | 42P19 | must not appear more than once
with recursive line as (

    select 1 as n
    union all
    select a.n from line as a cross join ▲line as b

)

select * from line;
--# types of a recursion differ | 42804 | has type integer in non-recursive term but type numeric overall
with recursive line as (

    select ▲1 as n
    union all
    select n * 1.5 from line

)

select * from line;
--# for update with group by | 0A000 | FOR UPDATE is not allowed with GROUP BY clause
select name from accounts group by name ▲for update;
--# writing through a view | 23502 | null value in column "name"
insert into ▲ratios (account_id) values (1);
--# truncate of a table that others reference | 0A000 | cannot truncate a table referenced in a foreign key
truncate ▲accounts;
--# no default for a domain's text | 22P02 | invalid input syntax for type integer
select ▲'much'::percentage;
