--# division | 22012 | nullif
select amount ▲/ parts from payments;
--# modulo | 22012 | nullif
select payment_id ▲% parts from payments;
--# division by a constant beside the guilty one | 22012 | division by zero
select amount / 2, amount ▲/ parts, amount / 100.0 from payments;
--# division beside a guarded one | 22012 | division by zero
select amount / nullif(parts, 0), amount * 100 ▲/ parts from payments;
--# division beside one that is at least one | 22012 | division by zero
select
    sum(amount) / greatest(sum(parts), 1) as whole,
    sum(amount ▲/ parts) as single
from payments;
--# division by the constant zero beside another | 22012 | division by zero
select amount / account_id, amount ▲/ 0 from payments;
--# division by an expression | 22012 | division by zero
select amount ▲/ (parts - parts) from payments;
--# division in a common table expression | 22012 | division by zero
with each as (

    select payment_id, amount ▲/ parts as part
    from payments

),

-- A / in a comment, and in a text, divides nothing.
paths as (

    select payment_id, 'a/b' as path, part from each

)

select * from paths;
--# division in an insert | 22012 | division by zero
insert into accounts (account_id, name, balance)
select payment_id + 100, 'Share', amount ▲/ parts
from payments;
--# division in set | 22012 | division by zero
update payments set amount = amount ▲/ parts;
--# division in where | 22012 | division by zero
delete from payments where amount ▲/ parts > 1;
--# division in a window | 22012 | division by zero
select sum(amount ▲/ parts) over (partition by account_id) from payments;
--# mod as a function | 22012 | division by zero
select ▲mod(payment_id, parts) from payments;
--# division in the last of three statements | 22012 | division by zero
select amount / 2 from payments;
select amount / nullif(parts, 0) from payments;
select amount ▲/ parts from payments;
--# cast to integer | 22P02 | invalid input syntax for type integer: "x4"
select account_id▲::integer, name::text from stg_accounts;
--# cast written out | 22P02 | invalid input syntax for type integer: "x4"
select ▲cast(account_id as integer) as account_id, cast(name as text) from stg_accounts;
--# cast to int4 | 22P02 | invalid input syntax for type integer: "x4"
select account_id▲::int4 from stg_accounts;
--# cast to numeric | 22P02 | invalid input syntax for type numeric: "12,50"
select balance▲::numeric(10, 2), 1::integer from stg_accounts;
--# cast to date | 22008 | out of range: "2024-02-30"
select account_id, opened▲::date from stg_accounts;
--# cast to a time stamp beside a good one | 22008 | out of range: "2024-02-30"
select now()::date, opened▲::timestamptz from stg_accounts;
--# cast to jsonb | 22P02 | invalid input syntax for type json
select name, (details▲::jsonb)->'tags' from stg_accounts;
--# cast to boolean | 22P02 | invalid input syntax for type boolean
select name::text, name▲::boolean from stg_accounts;
--# cast to uuid | 22P02 | invalid input syntax for type uuid
select (name || account_id)▲::uuid from stg_accounts;
--# cast to an enum | 22P02 | invalid input value for enum mood
select name▲::mood from stg_accounts;
--# cast to an array | 22P02 | malformed array literal
select name::text, details▲::text[] from stg_accounts where account_id = 'x4' and 'x' = any (('{x}')::text[]);
--# cast of one of two columns, the other of which is a constant | 22P02 | invalid input syntax for type integer: "x4"
select '1'::integer + account_id▲::integer from stg_accounts;
--# cast in a join condition | 22P02 | invalid input syntax for type integer: "x4"
select accounts.name
from accounts
inner join stg_accounts on accounts.account_id = stg_accounts.account_id▲::integer;
--# type in a list of columns | 22P02 | invalid input syntax for type integer: "x"
select *
from jsonb_to_recordset('[{"id": "x", "name": "y"}]') as things (id ▲integer, name text);
--# to_date | 22007 | invalid value "Cy" for "YYYY"
select ▲to_date(name, 'YYYY-MM-DD') from stg_accounts;
--# make_date | 22008 | date field value out of range
select ▲make_date(2024, 2, account_id + 28) from accounts;
--# date arithmetic | 22008 | out of range
select name, opened ▲+ interval '300000000 days' from accounts;
--# integer overflow by arithmetic | 22003 | integer out of range
select account_id ▲* 2000000000 from accounts;
--# integer overflow by a cast | 22003 | integer out of range
select (account_id + 3000000000)▲::integer from accounts;
--# text too large for an integer | 22003 | out of range for type integer
select (account_id || '9999999999')▲::integer from accounts;
--# smallint overflow | 22003 | smallint out of range
select (balance * 1000)▲::smallint, balance::integer from accounts;
--# bigint overflow | 22003 | bigint out of range
select sum(payment_id * 1)▲::bigint from (select 9223372036854775807 as payment_id from accounts) as large;
--# numeric overflow by a cast | 22003 | precision 4, scale 2
select balance▲::numeric(4, 2), balance::numeric(10, 2) from accounts;
--# numeric overflow of a column | 22003 | precision 8, scale 2
update payments set note = 'large', ▲amount = 10000000;
--# numeric overflow of a column in an insert | 22003 | precision 8, scale 2
insert into payments (payment_id, account_id, ▲amount) select 50, 1, 1e9;
--# floating point overflow | 22003 | value out of range: overflow
select 1e308::float8 ▲* balance::float8 from accounts;
--# square root of a negative number | 2201F | square root of a negative number
select ▲sqrt(balance - 50), ln(balance + 1) from accounts;
--# logarithm of zero | 2201E | logarithm of zero
select ▲ln(balance) from accounts;
--# negative length | 22011 | negative substring length
select upper(name), ▲substring(name, 1, account_id - 3) from accounts;
--# invalid regular expression | 2201B | invalid regular expression
select name from accounts where name ▲~ '(';
--# invalid regular expression in a function | 2201B | invalid regular expression
select lower(name), ▲regexp_replace(name, '[', '') from accounts;
--# invalid json path | 2203A | does not contain key
select ▲jsonb_path_query('{"a": 1}', 'strict $.b');
--# unknown unit of time | 22023 | not recognized for type
select name, date_trunc(▲'moth', opened) from accounts;
--# unknown time zone | 22023 | time zone "Mars/North" not recognized
select now() at time zone ▲'Mars/North';
--# too few arguments of format | 22023 | too few arguments for format()
select ▲format('%s of %s', name) from accounts;
--# bad base64 | 22023 | base64
select ▲decode(name, 'base64') from accounts;
--# negative limit | 2201W | LIMIT must not be negative
select name from accounts ▲limit (select -1);
--# subquery of several rows | 21000 | more than one row returned by a subquery
select
    name,
    ▲(select amount from payments) as amount
from accounts;
--# subquery of several rows in where, beside an in | 21000 | more than one row returned by a subquery
select name
from (select * from accounts) as a
where account_id in (select account_id from payments)
and account_id = ▲(select account_id from payments where amount > 0);
--# subquery of several rows in set | 21000 | more than one row returned by a subquery
update accounts set name = ▲(select note from payments);
--# next value of a finished sequence | 2200H | reached maximum value of sequence
create temporary sequence tiny maxvalue 2 start with 2;
select nextval('tiny');
select ▲nextval('tiny') from accounts;
--# time-out | 57014 | -- timeout:
-- timeout: 100ms
select 1;
  ▲select pg_sleep(20);
--# time-out of a recursion without end | 57014 | -- timeout:
-- timeout: 100ms
▲with recursive line as (

    select 1 as n
    union all
    select n from line

)

select count(*) from line;
--# lock of a table | 55P03 | -- lock_timeout: | while=lock table accounts in exclusive mode
-- lock_timeout: 50ms
select 1;
update ▲accounts set name = 'Ada' where account_id = 1;
--# lock of a table that is read | 55P03 | -- lock_timeout: | while=lock table payments in access exclusive mode
-- lock_timeout: 50ms
select name
from accounts
inner join ▲payments on payments.account_id = accounts.account_id;
--# lock table | 55P03 | -- lock_timeout: | while=lock table accounts in exclusive mode
-- lock_timeout: 50ms
lock table ▲accounts in share mode;
--# lock of a row | 55P03 | -- lock_timeout: | while=update accounts set name = 'Eve' where account_id = 1
-- lock_timeout: 50ms
update ▲accounts set name = 'Ada' where account_id = 1;
--# lock of a row by a foreign key | 55P03 | -- lock_timeout: | while=delete from accounts where account_id = 3
-- lock_timeout: 50ms
insert into ▲payments (payment_id, account_id) values (60, 3);
--# row that is locked without waiting | 55P03 | could not obtain lock on row | while=update accounts set name = 'Eve' where account_id = 1
select name from ▲accounts for update nowait;
--# file that is not there | 58P01 | could not open file
copy accounts from ▲'/nowhere/accounts.csv';
--# invalid setting | 22023 | invalid value for parameter "work_mem"
set local work_mem = ▲'much';
--# vacuum in a transaction | 25001 | VACUUM cannot run inside a transaction block
select 1;
▲vacuum accounts;
--# concurrent index in a transaction | 25001 | cannot run inside a transaction block
▲create index concurrently on accounts (name);
--# division in a generated column | 22012 | division by zero
insert into ▲entries (entry_id) values (0);
--# division in a view | 22012 | division by zero | in=002_functions.sql: / parts as each_part
select payment_id, each_part from ▲amounts_per_part;
--# division in an index | 22012 | division by zero
create index on payments ((100 ▲/ parts));
--# division in a materialized view | 22012 | division by zero
create materialized view one as
select amount ▲/ parts as each_part from payments;
--# cast of a column's new type | 22P02 | invalid input syntax for type integer: "x4"
alter table stg_accounts alter column account_id type integer using account_id▲::integer;
