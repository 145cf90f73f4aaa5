--# trailing comma in the select list | 42601 | near "from"
select
    account_id,
    name,
▲from accounts;
--# missing comma | 42601 | near "."
select
    accounts.account_id
    accounts▲.name
from accounts;
--# misspelt select | 42601 | 'selec' looks like 'select'
▲selec account_id from accounts;
--# misspelt from | 42601 | 'form' looks like 'from'
select account_id, name as n ▲form accounts;
--# misspelt where | 42601 | 'wehre' looks like 'where'
select name from accounts wehre ▲account_id = 1;
--# missing closing parenthesis | 42601 | near "from"
insert into accounts (account_id, name)
select (max(account_id) + 1, 'New'
▲from accounts;
--# missing closing parenthesis at the end, which takes the next statement along | 42601 | near ";"
insert into accounts (account_id, name)
select coalesce(max(account_id), 0, 'New' || (select 'er'▲;
select 1;
--# superfluous closing parenthesis | 42601 | near ")"
select max(account_id)▲) from accounts;
--# where without a condition | 42601 | end of input
delete from payments where▲;
--# group without by | 42601 | near "name"
select name, count(*) from accounts group ▲name;
--# order without by | 42601 | near "name"
select name from accounts order ▲name;
--# join without a table | 42601 | near "on"
select * from accounts inner join ▲on true;
--# join without a condition | 42601 | near "where"
select * from accounts inner join payments ▲where true;
--# case without end | 42601 | near "as"
select case when true then 1 ▲as one;
--# then without when | 42601 | near "then"
select case true ▲then 1 end;
--# two where clauses | 42601 | near "where"
select name from accounts where account_id = 1 ▲where name = 'Ada';
--# having before group by | 42601 | near "group"
select name from accounts having count(*) > 1 ▲group by name;
--# where after order by | 42601 | near "where"
select name from accounts order by name ▲where true;
--# insert without into | 42601 | near "accounts"
insert ▲accounts (account_id) values (9);
--# insert without values | 42601 | near "9"
insert into accounts (account_id, name) (▲9, 'Ivy');
--# update without set | 42601 | near "="
update accounts name ▲= 'Ivy';
--# update with and between columns | 22P02 | for type boolean
update accounts set name = ▲'Ivy' and email = 'i@example.com';
--# delete without from | 42601 | near "accounts"
delete ▲accounts where account_id = 9;
--# double equals sign | 42883 | operator does not exist
select name from accounts where account_id ▲== 1;
--# reserved word as a column | 42601 | near "order"
select account_id as id, ▲order from accounts;
--# keyword as a table | 42601 | near "user"
create table ▲user (id integer);
--# comma after the last common table expression | 42601 | near "select"
with newest as (

    select account_id from accounts

),

▲select * from newest;
--# no comma between common table expressions | 42601 | near "second"
with first as (

    select 1 as one

)

▲second as (

    select 2 as two

)

select * from first, second;
--# common table expression without as | 42601 | near "select"
with newest (

    ▲select account_id from accounts

)

select * from newest;
--# common table expressions without a statement | 42601 | end of input
with newest as (

    select account_id from accounts

)▲
--# unterminated string | - | unterminated quoted string
select name
from accounts
where name = ▲'Ada;
--# unterminated string swallows a semicolon and a statement | - | unterminated quoted string
select 1;
update accounts set name = ▲'O''Hara where account_id = 1;
select 2;
--# unterminated quoted name | - | unterminated quoted name
select ▲"name from accounts;
--# unterminated comment | - | unterminated comment
select name
▲/* never closed
from accounts;
--# unterminated dollar quote | - | unterminated dollar-quoted string
do ▲$$
begin
    perform 1;
end;
--# dollar quotes with different tags | - | unterminated dollar-quoted string
do ▲$one$
begin
    perform 1;
end
$two$;
--# backticks | 42601 | In PostgreSQL's words, perhaps: SELECT "name" FROM accounts
select ▲`name` from accounts;
--# square brackets around a name | 42601 | near "["
select ▲[name] from accounts;
--# curly quotes | 42703 | does not exist
select name from accounts where name = ▲‘Ada’;
--# double quotes around a text | 42703 | column "Ada" does not exist
select name from accounts where name = ▲"Ada";
--# limit with a comma | 42601 | LIMIT #,# syntax is not supported
select name from accounts ▲limit 1, 2;
--# top | 42601 | near "1"
select top ▲1 name from accounts;
--# on duplicate key | 42601 | near "duplicate"
insert into accounts (account_id, name) values (1, 'Ada') on ▲duplicate key update name = 'Ada';
--# on conflict update without do | 42601 | near "update"
insert into accounts (account_id, name) values (1, 'Ada') on conflict (account_id) ▲update set name = 'Ada';
--# on conflict update without a key | 42601 | requires inference specification
insert into accounts (account_id, name) values (1, 'Ada') ▲on conflict do update set name = 'Ada';
--# merge without when | 42601 | end of input
merge into accounts using stg_accounts on accounts.name = stg_accounts.name▲;
--# values lists of different lengths | 42601 | must all be the same length
insert into accounts (account_id, name) values (8, 'Hal'), (▲9);
--# more values than columns | 42601 | more expressions than target columns
insert into accounts (account_id, name) values (8, 'Hal', ▲0);
--# more columns than values | 42601 | more target columns than expressions
insert into accounts (account_id, name, ▲email) values (8, 'Hal');
--# unions of different width | 42601 | same number of columns
select account_id, name from accounts
union all
select ▲payment_id from payments;
--# template brackets that nobody rendered | 42601 | near "{"
select name from ▲{{ table }};
--# a placeholder of a driver | 42601 | near "%"
select name from accounts where account_id = ▲%s;
--# a colon parameter | 42601 | near ":"
select name from accounts where account_id = ▲:account_id;
--# a dollar parameter | 42P02 | there is no parameter $1
select name from accounts where account_id = ▲$1;
--# number with letters | 42601 | trailing junk after numeric literal
select ▲12abc;
--# semicolon inside a statement | 42601 | near "where"
select name from accounts;
▲where account_id = 1;
--# a table's name in Jinja | 42601 | plain SQL, without Jinja
select name from ▲{{ ref('accounts') }};
--# a condition in Jinja | 42601 | plain SQL, without Jinja
select name from accounts
▲{% if true %} where account_id = 1 {% endif %};
--# psql command | 42601 | psql's own
select 1;
▲\echo done
--# psql include in the middle | 42601 | psql's own
select 1;
  ▲\i other.sql
select 2;
--# psql variable | 42601 | Variables of psql's
select name from accounts where name = ▲:'name';
--# psql variable among values | 42601 | current_setting('app.day')
insert into accounts (account_id, name) values (▲:id, :'x');
--# a value too few | 42601 | Give each column of the list one value
insert into accounts (account_id, ▲name) select account_id from payments;
--# a value too many | 42601 | Give each column of the list one value
insert into accounts (account_id) select account_id, ▲note from payments;
--# trailing comma, said without it | 42601 | perhaps: SELECT account_id, name FROM accounts
select account_id, name, ▲from accounts;
--# functions and quotes of another database | 42601 | It looks like SQL of BigQuery
select ifnull(▲`name`, '') from accounts;
