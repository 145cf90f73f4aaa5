-- Functions, a trigger and a view that fail when they are given the wrong values.

create function ratio(part numeric, whole numeric) returns numeric
language plpgsql as $$
begin

    return part
        / whole;

end
$$;

create function ratio_of(account integer) returns numeric
language plpgsql as $body$
declare
    paid numeric;
begin
    select sum(amount) into paid
    from payments
    where account_id = account;

    return ratio(paid, 0);
end
$body$;

create function per_part(amount numeric, parts integer) returns numeric
language sql immutable as $$
    select amount / parts
$$;

create function two_steps(amount numeric) returns numeric
language sql volatile as $$
    select count(*) from payments;
    select amount % 0;
$$;

create function in_standard_sql(amount numeric) returns numeric
language sql volatile
begin atomic
    select count(*) from payments;
    select amount / (select min(parts) from payments);
end;

create function to_day(value text) returns date
language plpgsql as $$
declare
    found date;
begin
    found := value::date;
    return found;
end
$$;

create function to_day(value text, fallback date) returns date
language plpgsql as $$
begin
    if value is null then
        raise exception 'no day, and % is no answer', fallback using hint = 'Give a day.';
    end if;
    return value::date;
end
$$;

create function count_rows(table_name text) returns bigint
language plpgsql as $$
declare
    answer bigint;
begin
    execute 'select count(*) from ' || table_name || ' where nothing_here' into answer;
    return answer;
end
$$;

create function rename_account(account integer, new_name text) returns void
language plpgsql as $$
begin
    update accounts
    set name = new_name
    where account_id = account;
end
$$;

create function late(day text) returns text
language plpgsql as $$
begin
    return nothing_here(day);
end
$$;

create function payment_is_sound() returns trigger
language plpgsql as $$
begin
    if new.note = 'forbidden' then
        raise exception 'payment % is forbidden', new.payment_id;
    end if;
    new.amount := round(new.amount, 12 / new.parts);
    return new;
end
$$;

create trigger payment_is_sound before insert on payments for each row execute function payment_is_sound();

create view amounts_per_part as
select
    payment_id,
    amount / parts as each_part
from payments;

create view ratios as
select
    account_id,
    ratio(balance, balance - balance) as share_of_all
from accounts;
