--# unknown column in a block | 42703 | column "nam" of relation
do $$
begin
    update accounts
    set ▲nam = 'Ada';
end
$$;
--# unknown table in a block, behind other statements | 42P01 | relation "nowhere" does not exist
select 1;
do $$
begin
    perform 1;
    insert into accounts (account_id, name) values (70, 'Liv');
    delete from ▲nowhere;
end
$$;
--# unknown function that is performed | 42883 | function nothing_here() does not exist
do $$ begin
    perform ▲nothing_here();
end $$;
--# division in a block's statement | 22012 | division by zero
do $$
begin
    update payments set amount = 1;
    update payments
    set amount = amount ▲/ parts;
end
$$;
--# division in an assignment | 22012 | division by zero
do $$
declare
    x integer := 0;
begin
    x := 1
        ▲/ x;
end
$$;
--# division in a declaration | 22012 | division by zero
do $$
declare
    y integer := 7 / 7;
    x integer := 1 ▲/ 0;
begin
    null;
end
$$;
--# division in a condition | 22012 | division by zero
do $$
declare
    x integer := 0;
begin
    if 1 ▲/ x > 1 then
        x := 1;
    end if;
end
$$;
--# division in the second condition | 22012 | division by zero
do $$
declare
    x integer := 0;
begin
    if x = 1 then
        x := 2;
    elsif 1 ▲/ x > 1 then
        x := 3;
    end if;
end
$$;
--# division in a loop's bound | 22012 | division by zero
do $$
begin
    for i in 1 .. 10 ▲/ 0 loop
        null;
    end loop;
end
$$;
--# division in a loop's query | 22012 | division by zero
do $$
declare
    payment record;
begin
    for payment in
        select amount ▲/ parts from payments
    loop
        null;
    end loop;
end
$$;
--# the same text twice, and the second fails | 22012 | division by zero
do $$
declare
    x integer := 1;
begin
    perform 1 / x;
    x := 0;
    perform 1 ▲/ x;
end
$$;
--# raise | P0001 | no accounts
do $$
begin
    if (select count(*) from accounts) > 0 then
        ▲raise exception 'no accounts' using hint = 'Look at the loader.';
    end if;
end
$$;
--# assert | P0004 | assertion failed
do $$
begin
    ▲assert (select count(*) from accounts) = 0;
end
$$;
--# constraint in a block | 23505 | accounts_pkey
do $$
begin
    insert into accounts (▲account_id, name)
    values (1, 'Ada');
end
$$;
--# not null in a block | 23502 | null value in column "name"
do $$
begin
    update accounts set ▲name = null;
end
$$;
--# select into strict of several rows | P0003 | query returned more than one row
do $$
declare
    one text;
begin
    ▲select name into strict one
    from accounts;
end
$$;
--# unknown column behind into | 42703 | column "nam" does not exist
do $$
declare
    one text;
begin
    select name into one from accounts where ▲nam = 'Ada';
end
$$;
--# cast in an assignment | 22P02 | invalid input syntax for type integer
do $$
declare
    number integer;
begin
    number := (select max(name) from accounts)▲::integer;
end
$$;
--# literal in an assignment | 22P02 | invalid input syntax for type integer
do $$
declare
    number integer;
begin
    number := ▲'many';
end
$$;
--# syntax error in plpgsql | 42601 | near "ned"
do $$
begin
    if true then
        null;
    ▲ned if;
end
$$;
--# missing semicolon in plpgsql | 42601 | near "begin"
do $$
declare
    x integer
▲begin
    x := 1;
end
$$;
--# syntax error in a block's statement | 42601 | near "form"
do $$
begin
    delete ▲form accounts;
end
$$;
--# unknown variable | 42601 | "total" is not a known variable
do $$
begin
    ▲total := 1;
end
$$;
--# select without a destination | 42601 | query has no destination for result data
do $$
begin
    ▲select name from accounts;
end
$$;
--# dynamic statement | 42703 | column "nothing_here" does not exist
do $$
begin
    ▲execute 'select ' || 'nothing' || '_here from accounts';
end
$$;
--# dynamic statement that stands in the file | 42P01 | relation "nowhere" does not exist
do $$
begin
    execute 'delete from ▲nowhere';
end
$$;
--# dynamic division | 22012 | division by zero
do $$
begin
    ▲execute format('select 1 / %s', 0);
end
$$;
--# commit in a block | 2D000 | the runner alone opens and closes
do $$
begin
    perform 1;
    ▲commit;
end
$$;
--# time-out in a block | 57014 | -- timeout:
-- timeout: 100ms
do $$
begin
    perform 1;
    ▲perform pg_sleep(20);
end
$$;
--# block with a tag and a language | 22012 | division by zero
do language plpgsql $work$
declare
    text_with_quotes text := $inner$ 1 / 0 $inner$;
begin
    perform 1 ▲/ 0;
end
$work$;
--# block in plain quotes | 22012 | division by zero
do '
begin
    perform 1 ▲/ 0;
end
';
--# nested blocks | 22012 | division by zero
do $$
begin
    begin
        perform 1;
        begin
            perform 2 ▲/ 0;
        end;
    exception when unique_violation then
        null;
    end;
end
$$;
--# error that is raised again | 22012 | division by zero
do $$
begin
    perform 2 ▲/ 0;
exception when division_by_zero then
    raise;
end
$$;
--# block after wide characters | 22012 | division by zero
select 'größer 日本語 😀';
do $$
begin
    perform 'ä日😀', 1 ▲/ 0;
end
$$;
--# block with line ends of Windows | 22012 | division by zero | crlf
select 1;
do $$
begin
    perform 1;
    perform 1 ▲/ 0;
end
$$;
--# null for a variable | 22004 | null value cannot be assigned to variable "x"
do $$
declare
    x integer not null := 1;
begin
    ▲x := null;
end
$$;
--# no case fits | 20000 | case not found
do $$
begin
    ▲case 3
        when 1 then null;
    end case;
end
$$;
--# subquery of several rows in a block | 21000 | more than one row returned by a subquery
do $$
declare
    x integer;
begin
    x := 1 + ▲(select account_id from accounts);
end
$$;
