--# null from a literal | 23502 | null value in column "name"
insert into accounts (account_id, ▲name) values (9, null);
--# null from a query | 23502 | null value in column "name"
insert into accounts (
    account_id,
    ▲name
)
select 9, nullif(name, 'Cy') from stg_accounts where name = 'Cy';
--# column left out that must not be null | 23502 | null value in column "name"
insert into ▲accounts (account_id) values (9);
--# null in a column of an insert without columns | 23502 | null value in column "name"
insert into ▲accounts values (9, null);
--# null by an update | 23502 | null value in column "balance"
update accounts
set email = name, ▲balance = null;
--# null by an update in parentheses | 23502 | null value in column "balance"
update accounts
set (email, ▲balance) = (select name, null::numeric);
--# null key | 23502 | null value in column "account_id"
insert into accounts (name, ▲account_id) select 'x', null;
--# null in the second of two inserts of a statement | 23502 | null value in column "name"
with new_payments as (

    insert into payments (payment_id, account_id) values (20, 1)
    returning account_id

)

insert into accounts (account_id, ▲name)
select 20, null from new_payments;
--# null in the first of two inserts of a statement | 23502 | null value in column "account_id"
with new_payments as (

    insert into payments (payment_id, ▲account_id) values (20, null)
    returning account_id

)

insert into accounts (account_id, name)
select 20, 'Ida' from new_payments;
--# null into the upserted column | 23502 | null value in column "name"
insert into accounts as target (account_id, ▲name, email)
select account_id, null, email from accounts
on conflict (account_id) do update
set name = excluded.name, email = excluded.email;
--# duplicate key | 23505 | accounts_pkey
insert into accounts (▲account_id, name) values (1, 'Ada');
--# duplicate key within the statement | 23505 | accounts_pkey
insert into accounts (▲account_id, name)
values
    (10, 'Ida'),
    (10, 'Ina');
--# duplicate value of another column | 23505 | one_account_an_address
insert into accounts (account_id, name, ▲email) values (10, 'Ida', 'ada@example.com');
--# duplicate value by an update | 23505 | one_account_an_address
update accounts set name = upper(name), ▲email = 'all@example.com';
--# duplicate key of several columns | 23505 | shares_pkey
insert into shares (▲account_id, day, part)
values
    (1, 'day1', 10),
    (1, 'day1', 20);
--# duplicate key without a column list | 23505 | accounts_pkey
insert into ▲accounts select * from accounts;
--# unique index over duplicates | 23505 | could not create unique index
create temporary table twice (day text, number integer) on commit drop;
insert into twice values ('day1', 1), ('day1', 2);
create unique index ▲one_a_day on twice (day);
--# check | 23514 | balance_is_not_negative
insert into ▲accounts (account_id, name, balance) values (10, 'Ida', -1);
--# check by an update | 23514 | balance_is_not_negative
update ▲accounts set balance = balance - 1 where account_id = 2;
--# check by an upsert | 23514 | balance_is_not_negative
insert into ▲accounts (account_id, name) values (2, 'Bob')
on conflict (account_id) do update set balance = -5;
--# check of pipeline_metrics | 23514 | affected_is_the_sum
update accounts set name = 'Eve' where account_id = 2;
insert into ▲pipeline_metrics (
    flow_run_id, task_name, pipeline_name, day, status, rows_inserted, rows_affected
)
values (current_setting('app.flow_run_id'), 'x', 'x', current_setting('app.day'), 'success', 1, 2);
--# check in the second statement of three | 23514 | balance_is_not_negative
update accounts set balance = balance + 1;
update ▲accounts set balance = balance - 2;
update accounts set balance = balance + 1;
--# check added to a table that breaks it | 23514 | all_are_rich
alter table accounts add constraint ▲all_are_rich check (balance > 1000);
--# not null added to a table that breaks it | 23502 | contains null values
alter table accounts alter column ▲code set not null;
--# domain | 23514 | value for domain percentage violates check constraint
insert into shares (account_id, day, part) select account_id, 'day1', (balance * 2)::integer▲::percentage from accounts;
--# domain of the only column of it | 23514 | value for domain ratio violates check constraint
insert into splits (split_id, region, ▲part) select payment_id, 'north', amount from payments;
--# domain of the only column of it, in an update | 23514 | value for domain ratio violates check constraint
insert into splits (split_id, region, part) values (1, 'north', 0.5);
update splits set other_part = amount, ▲part = amount from payments;
--# not null in a partition | 23502 | null value in column "split_id" of relation "splits_north_rest"
insert into splits (part, ▲split_id, region)
select 1, null, 'north';
--# not null in a partition that a block made | 23502 | null value in column "split_id" of relation "splits_rest"
with added as (

    insert into splits (part, ▲split_id, region)
    select 1, null, 'south'
    returning region

)

insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected)
select current_setting('app.flow_run_id'), 'x', 'x', current_setting('app.day'), 'success', 0 from added;
--# key twice in a partition | 23505 | Key (region, split_id)=(north, 1) already exists
insert into splits (part, split_id, ▲region) values (1, 1, 'north'), (1, 1, 'north');
--# xmax of a partitioned table | 0A000 | left join the table
with added as (

    insert into splits as target (split_id, region, part)
    values (1, 'north', 1)
    on conflict (region, split_id) do update set part = excluded.part
    returning target.region, (▲target.xmax = 0) as inserted

)

select count(*) filter (where inserted) from added;
--# range with its bounds turned around | 22000 | range lower bound must be less
insert into spans (span_id, during)
select account_id, ▲int4range(account_id, account_id - 1) from accounts;
--# range from a text with its bounds turned around | 22000 | range lower bound must be less
select lower(('[' || account_id || ',0]')▲::int4range) from accounts;
--# foreign key | 23503 | account_exists
insert into payments (payment_id, ▲account_id) values (30, 99);
--# foreign key by an update | 23503 | account_exists
update payments set amount = 1, ▲account_id = 99 where payment_id = 1;
--# foreign key of the row that goes | 23503 | account_exists
delete from ▲accounts where account_id = 2;
--# foreign key of the key that changes | 23503 | parent_exists
update accounts set ▲account_id = 100 where account_id = 1;
--# foreign key from a query | 23503 | account_exists
insert into payments (
    payment_id,
    ▲account_id
)
select 100 + row_number() over (), 77
from stg_accounts;
--# foreign key checked at the commit | 23503 | entry_has_an_account
insert into accounts (account_id, name) values (40, 'Kim');
insert into entries (entry_id, ▲account_id) values (1, 99);
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, day, status, rows_inserted, rows_affected
)
values (current_setting('app.flow_run_id'), 'x', 'x', current_setting('app.day'), 'success', 2, 2);
--# exclusion | 23P01 | bookings_do_not_overlap
insert into bookings (room, ▲during) values ('a', '[1,5)'), ('b', '[3,8)');
--# on conflict twice | 21000 | cannot affect row a second time
insert into accounts as target (account_id, name)
values
    (1, 'Eve'),
    (1, 'Eva')
▲on conflict (account_id) do update
set name = excluded.name
where target.name is distinct from excluded.name;
--# merge twice | 21000 | MERGE command cannot affect row a second time
▲merge into accounts
using (values (1, 'a'), (1, 'b')) as source (id, name) on source.id = accounts.account_id
when matched then update set name = source.name;
--# value too long | 22001 | value too long for type character varying(3)
update accounts set ▲code = 'ABCD';
--# value too long for one of several columns | 22001 | value too long for type character varying(3)
insert into accounts (account_id, name, ▲code) select 50, name, name || 'abcd' from stg_accounts where name = 'Cy';
--# temporary table with its own constraint | 23514 | number_is_positive
create temporary table numbers (

    number integer,
    constraint number_is_positive check (number > 0)

) on commit drop;
insert into ▲numbers (number) values (0);
--# quoted names | 23505 | Key
create temporary table "Odd Table" ("The Key" integer primary key) on commit drop;
insert into "Odd Table" (▲"The Key") values (1), (1);
