--# unknown type in a schema file | 42704 | type "strin" does not exist
create table colours (

    colour_id integer,
    colour ▲strin

);
--# table that exists already in a schema file | 42P07 | relation "accounts" already exists
create table colours (colour_id integer);
create table ▲accounts (account_id integer);
--# foreign key to nowhere | 42P01 | relation "nowhere" does not exist
create table colours (

    colour_id integer references ▲nowhere (id)

);
--# foreign key to a column that is not unique | 42830 | no unique constraint matching given keys
create table colours (

    colour_name text,
    constraint colour_is_known foreign key (colour_name) references ▲accounts (name)

);
--# column that comes twice | 42701 | column "colour" specified more than once
create table colours (

    colour text,
    ▲colour text

);
--# two primary keys | 42P16 | multiple primary keys
create table colours (

    colour_id integer primary key,
    name text,
    ▲primary key (name)

);
--# default of the wrong type | 42804 | default expression is of type
create table colours (colour_id integer default ▲now());
--# check of an unknown column | 42703 | column "size" does not exist
create table colours (

    colour_id integer,
    constraint size_is_positive check (▲size > 0)

);
--# body of a function in a schema file | 42703 | column "nam" does not exist
select 1;
create function names() returns setof text
language sql as $$
    select ▲nam from accounts
$$;
--# block in a schema file | 42P01 | table "nowhere" does not exist
do $$
begin
    drop table ▲nowhere;
end
$$;
--# function of an earlier schema file | 22012 | division by zero | in=002_functions.sql: / whole
create table parts as select ▲ratio(1, 0) as part;
--# view of an unknown column | 42703 | column "nam" does not exist
create view names as
select account_id, ▲nam
from accounts;
--# view that exists with other columns | 42P16 | cannot drop columns from view
create or replace view ▲ratios as select 1 as one;
--# index that cannot be unique | 23505 | could not create unique index
create unique index ▲one_status on stg_accounts (day);
--# concurrent index among others | - | allows one statement
-- ▲transaction: off
create index concurrently accounts_name on accounts (name);
create index concurrently accounts_code on accounts (code);
--# transaction that is neither on nor off | - | transaction is 'maybe'
-- transaction: ▲maybe
select 1;
--# concurrent index on an unknown column | 42703 | column "nam" does not exist
-- transaction: off
create index concurrently accounts_name on accounts (▲nam);
--# unknown extension | 0A000 | extension "nothing_here" is not available
create extension ▲nothing_here;
--# trigger without its function | 42883 | function nowhere() does not exist
create trigger t before insert on accounts for each row execute function ▲nowhere();
--# comment on an unknown column | 42703 | column "nam" of relation "accounts" does not exist
comment on column accounts.▲nam is 'The name.';
--# grant to nobody | 42704 | role "nobody_here" does not exist
grant select on accounts to ▲nobody_here;
--# constraint that is not there | 42704 | constraint "nothing_here" of relation "accounts" does not exist
alter table accounts drop constraint ▲nothing_here;
