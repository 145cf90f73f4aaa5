--# unknown table | 42P01 | relation "acounts" does not exist
select name
from ▲acounts;
--# unknown table in a join | 42P01 | relation "payment" does not exist
select accounts.name
from accounts
inner join ▲payment on payment.account_id = accounts.account_id;
--# unknown table to insert into | 42P01 | relation "acounts" does not exist
insert into ▲acounts (account_id) values (1);
--# unknown table to delete from | 42P01 | relation "acounts" does not exist
delete from ▲acounts;
--# unknown schema | 42P01 | relation "warehouse.accounts" does not exist
select * from ▲warehouse.accounts;
--# unknown column | 42703 | column "nam" does not exist
select account_id, ▲nam from accounts;
--# unknown column of an alias | 42703 | column account.nam does not exist
select account.account_id, ▲account.nam from accounts as account;
--# unknown column in where | 42703 | column "day" does not exist
delete from accounts where ▲day = 'day1';
--# unknown column to insert | 42703 | column "colour" of relation "accounts" does not exist
insert into accounts (account_id, ▲colour) values (1, 'red');
--# unknown column to update | 42703 | column "colour" of relation "accounts" does not exist
update accounts set name = 'Ada', ▲colour = 'red';
--# unknown column in returning | 42703 | column "id" does not exist
delete from accounts where account_id = 9 returning ▲id;
--# unknown column in excluded | 42703 | column excluded.nam does not exist
insert into accounts (account_id, name) values (1, 'Ada')
on conflict (account_id) do update set name = ▲excluded.nam;
--# unknown column in using | 42703 | column "payment" specified in USING clause
select * from accounts inner join payments using (▲payment);
--# unknown column in a conflict target | 42703 | column "id" does not exist
insert into accounts (account_id, name) values (1, 'Ada') on conflict (▲id) do nothing;
--# alias of the select list in where | 42703 | column "total" does not exist
select amount * 2 as total from payments where ▲total > 1;
--# the table's name after it got an alias | 42P01 | invalid reference to FROM-clause entry
select ▲accounts.name from accounts as a;
--# missing from clause | 42P01 | missing FROM-clause entry for table "payments"
select name, ▲payments.amount from accounts;
--# a common table expression that comes later | 42P01 | relation "second" does not exist
with first as (

    select * from ▲second

),

second as (

    select 2 as two

)

select * from first;
--# ambiguous column | 42702 | column reference "account_id" is ambiguous
select ▲account_id from accounts inner join payments on payments.account_id = accounts.account_id;
--# table named twice | 42712 | specified more than once
select 1 from accounts cross join ▲accounts;
--# unknown function | 42883 | function to_dates(unknown, unknown) does not exist
select ▲to_dates('2024', 'YYYY');
--# wrong number of arguments | 42883 | function per_part(integer) does not exist
select ▲per_part(1);
--# wrong type of an argument | 42883 | function per_part(text, integer) does not exist
select ▲per_part(name, 1) from accounts;
--# unknown type | 42704 | type "integr" does not exist
select balance::▲integr from accounts;
--# unknown type in a cast | 42704 | type "dat" does not exist
select cast(opened as ▲dat) from accounts;
--# unknown type of a column | 42704 | type "strin" does not exist
create temporary table colours (id integer, colour ▲strin) on commit drop;
--# unknown operator | 42883 | operator does not exist: text + integer
select name ▲+ 1 from accounts;
--# unknown collation | 42704 | collation "nowhere" for encoding
select name from accounts order by name ▲collate nowhere;
--# unknown window | 42704 | window "w" does not exist
select sum(balance) over ▲w from accounts;
--# unknown sequence | 42P01 | relation "numbers" does not exist
select nextval(▲'numbers');
--# unknown setting | 42704 | unrecognized configuration parameter "app.dya"
select current_setting(▲'app.dya');
--# unknown constraint in on conflict | 42704 | constraint "accounts_key" for table "accounts" does not exist
insert into accounts (account_id, name) values (1, 'Ada') on conflict on constraint ▲accounts_key do nothing;
--# no constraint fits on conflict | 42P10 | no unique or exclusion constraint
insert into accounts (account_id, name) values (1, 'Ada') ▲on conflict (name) do nothing;
--# unknown table to truncate | 42P01 | relation "acounts" does not exist
truncate ▲acounts;
--# unknown table to lock | 42P01 | relation "acounts" does not exist
lock table ▲acounts in exclusive mode;
--# unknown column of an index | 42703 | column "nam" does not exist
create temporary table a (name text) on commit drop;
create index on a (▲nam);
--# unknown label of an enum | 22P02 | invalid input value for enum mood
update accounts set feeling = ▲'meh';
--# table that exists already | 42P07 | relation "accounts" already exists
create table ▲accounts (id integer);
--# column that exists already | 42701 | already exists
alter table accounts add column ▲name text;
--# drop of something in use | 2BP01 | other objects depend on it
drop table ▲payments;
--# column of a record that is not there | 42703 | column payments.total does not exist
select (▲payments).total from payments;
