--# unknown column in a check | 42703 | column "nam" does not exist
-- check: 100_broken
-- severity: error
-- description: accounts without a name
select account_id
from accounts
where ▲nam is null;
--# unknown table in a warning | 42P01 | relation "acounts" does not exist
-- check: 100_broken
-- severity: warn
-- description: accounts without a name
select account_id from ▲acounts;
--# division in a check | 22012 | division by zero
-- check: 100_broken
-- severity: error
-- description: payments of small parts
select payment_id from payments where amount ▲/ parts < 1;
--# cast in a check | 22P02 | "x4"
-- check: 100_broken
-- severity: error
-- description: staged accounts that are not there
select staged.account_id
from stg_accounts as staged
left join accounts on accounts.account_id = staged.account_id▲::integer
where accounts.account_id is null;
--# function of a schema file in a check | 22012 | division by zero | in=002_functions.sql: / whole
-- check: 100_broken
-- severity: error
-- description: shares above one
select account_id from accounts where ▲ratio(balance, 0) > 1;
--# syntax error in a check | 42601 | 'form' looks like 'from'
-- check: 100_broken
-- severity: error
-- description: größer 日本語
select account_id as id
▲form accounts;
--# time-out of a check | 57014 | -- timeout:
-- check: 100_broken
-- severity: error
-- description: takes its time
-- timeout: 100ms
▲select pg_sleep(20);
--# check that writes | - | delete writes
-- check: 100_broken
-- severity: error
-- description: accounts that go
with gone as (▲delete from accounts returning *) select * from gone;
--# check of an unknown step | - | there is no step '200_whole'
-- check: ▲200_whole
-- severity: error
-- description: of nothing
select 1;
--# check of an unknown severity | - | severity is 'fatal'
-- check: 100_broken
-- severity: ▲fatal
-- description: of nothing
select 1;
--# check that finds rows | - | check failed: 3 rows
-- check: 100_broken
-- severity: error
-- description: accounts
▲select account_id from accounts;
