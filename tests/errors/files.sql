--# unknown header key | - | unknown header key 'timeuot'
-- A step of its own.
-- ▲timeuot: 3s
select 1;
--# header value that is no duration | - | timeout is 'soon'
-- description: a step
-- timeout: ▲soon
select 1;
--# header value without a unit | - | timeout is '300'
--   timeout:   ▲300
select 1;
--# header value of zero | - | lock_timeout is '0s'
-- lock_timeout: ▲0s
select 1;
--# header key without a value | - | 'timeout' has no value
-- ▲timeout:
select 1;
--# header key that comes twice | - | names 'timeout' twice
-- timeout: 1s
-- ▲timeout: 1s
select 1;
--# header key of a schema file | - | unknown header key 'transaction'
-- ▲transaction: off
select 1;
--# header with a tab | - | timeout is '5 parsecs'
--	timeout:	▲5 parsecs
select 1;
--# header after wide characters | - | unknown header key 'zeit'
-- description: größer 日本語
-- ▲zeit: 日
select 1;
--# commit in the middle | - | transaction control: commit
insert into accounts (account_id, name) values (50, 'Max');
▲commit;
select 1;
--# rollback | - | transaction control: rollback
select 1; ▲rollback;
--# commit that goes on | - | transaction control: commit and chain
insert into accounts (account_id, name) values (20, 'Eve');
▲commit and chain;
--# savepoint | - | transaction control: savepoint
begin;
select 1;
  ▲savepoint half;
select 2;
commit;
--# begin without commit | - | without its partner
▲begin;
select 1;
--# commit without begin | - | without its partner
select 1;
  ▲commit;
--# two transactions | - | transaction control: commit
begin;
select 1;
▲commit;
begin;
select 2;
commit;
--# statement after the commit | - | after the outer 'commit;'
begin;
select 1;
commit;

▲select 2;
--# statement before the begin | - | before the outer 'begin;'
▲set local work_mem = '64MB';
begin;
select 1;
commit;
--# prepared transaction | - | transaction control: prepare transaction
select 1;
▲prepare transaction 'half';
--# isolation level | - | transaction control: begin isolation
▲begin isolation level serializable;
select 1;
commit;
--# copy from the client | - | copy from stdin
select 1;
▲copy accounts from stdin;
--# copy to the client | - | to stdout
▲copy (select 1) to stdout;
--# nothing but comments | - | contains no statement
▲-- nothing to do
--# NUL character | - | NUL character
select 'a▲␀b';
--# not UTF-8 | - | is not UTF-8
select 'ä日',
    '▲␦';
--# no metrics | - | wrote no row
insert into accounts (account_id, name) values (60, 'Mia');
▲update accounts set name = 'Mo' where account_id = 60;
--# metrics of another run | - | wrote no row
insert into accounts (account_id, name) values (60, 'Mia');
insert into ▲pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected)
values ('another', 'x', 'x', current_setting('app.day'), 'success', 0);
select 1;
--# metrics twice | - | wrote 2 rows
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected)
values (current_setting('app.flow_run_id'), 'x', 'x', current_setting('app.day'), 'success', 0);
select 1;
insert into ▲pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected)
values (current_setting('app.flow_run_id'), 'y', 'x', current_setting('app.day'), 'success', 0);
--# metrics of several rows in one statement | - | wrote 3 rows
with metrics as (select 0 as changed)
insert into ▲pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected)
select current_setting('app.flow_run_id'), name, 'x', current_setting('app.day'), 'success', changed
from metrics cross join accounts;
--# metrics that report a failure | - | reports its own failure: no rates
insert into ▲pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected, error_message)
values (current_setting('app.flow_run_id'), 'x', 'x', current_setting('app.day'), 'failure', 0, 'no rates');
--# metrics without a value they need | 23502 | null value in column "task_name"
insert into ▲pipeline_metrics (flow_run_id, pipeline_name, day, status, rows_affected)
values (current_setting('app.flow_run_id'), 'x', current_setting('app.day'), 'success', 0);
--# characters of several bytes before the error | 42703 | column "nothing_here" does not exist
select 'größer', '日本語', '😀', ▲nothing_here;
--# characters of several bytes in earlier statements | 42703 | column "nothing_here" does not exist
-- größer 日本語 😀
select 'größer 日本語 😀' as "größe";
select 'é', ▲nothing_here;
--# characters that combine | 42703 | column "nothing_here" does not exist
select 'é', ▲nothing_here;
--# line ends of Windows | 42703 | column "nothing_here" does not exist | crlf
select 1;
select
    account_id,
    ▲nothing_here
from accounts;
--# line ends of Windows, and a division | 22012 | division by zero | crlf
update accounts set name = 'Ada';

select
    amount ▲/ parts
from payments;
--# tabs | 42703 | column "nothing_here" does not exist
select
	account_id,		▲nothing_here
from	accounts;
--# tabs, and a division | 22012 | division by zero
select
		amount	▲/	parts
from payments;
--# byte-order mark | 42703 | column "nothing_here" does not exist | bom
select ▲nothing_here;
--# byte-order mark, and the error is in the first word | 42601 | near "selec" | bom
▲selec 1;
--# byte-order mark, and the error is below | 42703 | column "nothing_here" does not exist | bom
select 1;
select ▲nothing_here;
--# comments that nest before the error | 42703 | column "nothing_here" does not exist
/* one; /* two; */ three; */
select 1; /* ; */ -- ;
select ';', $$ ; $$, ▲nothing_here;
--# inside begin and commit | 42703 | column "nothing_here" does not exist
begin;
select 1;
select ▲nothing_here;
commit;
--# a very long line | 42703 | column "nothing_here" does not exist
select ⟳, ▲nothing_here, ⟳;
--# a very long line, and a division | 22012 | division by zero
select ⟳, 1 ▲/ 0, ⟳;
--# the last character of a file without a line end | 42601 | end of input | bare
select account_id from accounts where▲
--# several statements on a line | 42703 | column "nothing_here" does not exist
select 1; select 2; select ▲nothing_here; select 3;
--# blank lines and spaces at the end | 42P01 | relation "nowhere" does not exist


select 1   ;


   select * from ▲nowhere   ;


--# strings with quotes and escapes before the error | 42703 | column "nothing_here" does not exist
select 'it''s', E'it\'s; \\', 'C:\', U&'d\0061t', ▲nothing_here;
