-- What the steps ask of a day: its place in time, and whether it was loaded.

-- The natural order of day names as one string, for plain comparison in "C" order:
-- runs of digits compare as numbers, ties by the name itself. A run loses its leading
-- zeros and gets its length in front, in unary (`day10` -> `day11010 day10`), because
-- padding every run to the longest possible makes keys of 200 bytes and takes 20 times
-- as long. A blank sorts before all that a day name may hold, so a name that continues
-- another one comes after it.
create function day_order(day text) returns text
language sql immutable strict parallel safe
return replace(
    regexp_replace(
        regexp_replace(
            regexp_replace(day, '(^|[^0-9])0+(?=[0-9])', '\1', 'g'),
            '([0-9]+)', '\1>\1', 'g'
        ),
        '[0-9](?=[0-9]*>)', '1', 'g'
    ),
    '>', '0'
) || ' ' || day;

-- Whether the current day (`app.day`) has files of an entity.
create function is_loaded(wanted text) returns boolean
language sql stable parallel safe
return exists (

    select from stg_loads
    where pipeline = 'zluri' and day = current_setting('app.day') and entity = wanted

);

-- A day that was never loaded must not look like one on which nobody was there.
create function require_loaded(wanted text) returns void
language plpgsql stable as $$
begin

    if not is_loaded(wanted) then
        raise exception '% of % is not loaded', wanted, current_setting('app.day')
            using hint = format('Load the day first: runner load --day %s', current_setting('app.day'));
    end if;

end
$$;
