--# a function of a schema file divides | 22012 | division by zero | in=002_functions.sql: / whole
select account_id, ▲ratio(balance, balance - balance) from accounts;
--# a function that calls a function | 22012 | division by zero | in=002_functions.sql: ratio(paid, 0) | in=002_functions.sql: / whole
select name, ▲ratio_of(account_id) from accounts;
--# a function called by a block | 22012 | division by zero | in=002_functions.sql: / whole
do $$
begin
    perform 1;
    perform ▲ratio(1, 0);
end
$$;
--# a SQL function that becomes a part of the statement | 22012 | division by zero | in=002_functions.sql: / parts⏎$$
select payment_id, ▲per_part(amount, parts) from payments;
--# a SQL function of a constant | 22012 | division by zero | in=002_functions.sql: / parts⏎$$
select ▲per_part(1, 0);
--# a SQL function's second statement | 22012 | division by zero | in=002_functions.sql: % 0
select ▲two_steps(1);
--# a function in standard SQL | 22012 | division by zero | in=002_functions.sql: / (select min
select 1 + ▲in_standard_sql(1);
--# a cast in a function | 22008 | out of range: "2024-02-30" | in=002_functions.sql: ::date;⏎    return found
insert into accounts (account_id, name, opened)
select 80 + length(name), name, ▲to_day(opened) from stg_accounts;
--# the function of two arguments | 22008 | out of range: "2024-02-30" | in=002_functions.sql: ::date;⏎end
select ▲to_day(opened, null) from stg_accounts;
--# a function raises | P0001 | Give a day. | in=002_functions.sql: raise exception 'no day
select ▲to_day(null, current_date);
--# a function puts a statement together | 42703 | column "nothing_here" does not exist | in=002_functions.sql: execute 'select count
select ▲count_rows('accounts');
--# a constraint in a function | 23502 | null value in column "name" | in=002_functions.sql: name = new_name
select ▲rename_account(1, null);
--# an unknown function in a function | 42883 | function nothing_here(text) does not exist | in=002_functions.sql: nothing_here(day)
select ▲late('day1');
--# a trigger raises | P0001 | payment 90 is forbidden | in=002_functions.sql: raise exception 'payment
insert into ▲payments (payment_id, account_id, note) values (90, 1, 'forbidden');
--# a trigger divides | 22012 | division by zero | in=002_functions.sql: / new.parts
insert into ▲payments (payment_id, account_id, amount, parts)
select 91, 1, 10 / 2, 0;
--# a view calls a function | 22012 | division by zero | in=002_functions.sql: / whole
select * from ▲ratios;
--# a function of the step's own | 22012 | division by zero
create function pg_temp.half(whole numeric) returns numeric
language plpgsql as $$
begin
    return 1 △/ whole;
end
$$;
select name, ▲pg_temp.half(account_id - 1) from accounts;
--# a SQL function of the step's own | 22P02 | invalid input syntax for type integer
create function pg_temp.number_of(value text) returns integer
language sql volatile as $$
    select 1;
    select value△::integer;
$$;
select ▲pg_temp.number_of(name) from accounts;
--# a procedure | 23514 | balance_is_not_negative
create procedure pg_temp.spend(account integer, amount numeric)
language plpgsql as $$
begin
    update △accounts
    set balance = balance - amount
    where account_id = account;
end
$$;
call ▲pg_temp.spend(2, 5);
--# a body that does not parse | 42601 | near "form"
create function pg_temp.broken() returns bigint
language sql as $$
    select count(*) as n ▲form accounts
$$;
--# a body with an unknown column | 42703 | column "nam" does not exist
create function pg_temp.broken() returns text
language sql as $$
    select max(▲nam) from accounts
$$;
--# a body of the wrong type | 42P13 | return type mismatch
create function pg_temp.broken() returns integer
language sql as $$
    ▲select 'a'::text
$$;
--# a plpgsql body that does not parse | 42601 | near "retrun"
create function pg_temp.broken() returns integer
language plpgsql as $$
begin
    ▲retrun 1;
end
$$;
--# a body in standard SQL with an unknown table | 42P01 | relation "nowhere" does not exist
create function pg_temp.broken() returns bigint
language sql
return (select count(*) from ▲nowhere);
--# an unknown language | 42704 | language "plsql" does not exist
create function pg_temp.broken() returns integer
language ▲plsql as $$ begin return 1; end $$;
--# a function that ends without return | 2F005 | control reached end of function without RETURN
create function pg_temp.broken() returns integer
language plpgsql as $$
begin
    perform 1;
end
$$;
select ▲pg_temp.broken();
--# a recursion without end | 54001 | stack depth limit exceeded
create function pg_temp.around(number integer) returns integer
language plpgsql as $$
begin
    return pg_temp.around(number + 1);
end
$$;
select ▲pg_temp.around(1);
