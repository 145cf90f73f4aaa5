-- What the broken steps of this folder work on.

create type mood as enum ('good', 'bad');

create domain percentage as integer constraint percentage_is_in_range check (value between 0 and 100);

create table accounts (

    account_id integer,
    name text not null,
    email text,
    balance numeric(10, 2) not null default 0,
    opened date,
    code varchar(3),
    feeling mood,
    parent_id integer,
    constraint accounts_pkey primary key (account_id),
    constraint one_account_an_address unique (email),
    constraint balance_is_not_negative check (balance >= 0),
    constraint parent_exists foreign key (parent_id) references accounts (account_id)

);

create table payments (

    payment_id bigint,
    account_id integer not null,
    amount numeric(8, 2),
    paid_at timestamptz,
    note text,
    parts integer not null default 1,
    constraint payments_pkey primary key (payment_id),
    constraint account_exists foreign key (account_id) references accounts (account_id)

);

create table entries (

    entry_id integer,
    account_id integer,
    each numeric generated always as (100 / entry_id) stored,
    constraint entries_pkey primary key (entry_id),
    constraint entry_has_an_account foreign key (account_id) references accounts (account_id)
    deferrable initially deferred

);

create table bookings (

    room text,
    during int4range,
    constraint bookings_do_not_overlap exclude using gist (during with &&)

);

create table shares (

    account_id integer,
    day text,
    part percentage,
    constraint shares_pkey primary key (account_id, day)

);

create table stg_accounts (

    day text,
    account_id text,
    name text,
    balance text,
    opened text,
    details text

);

create domain ratio as numeric constraint ratio_is_at_most_one check (value <= 1);

create table splits (

    split_id integer not null,
    region text not null,
    part ratio not null,
    other_part numeric,
    constraint splits_pkey primary key (region, split_id)

) partition by list (region);

create table splits_north partition of splits for values in ('north') partition by list (split_id);

create table splits_north_rest partition of splits_north default;

-- A partition that no statement of a file makes.
do $$ begin execute 'create table splits_rest partition of splits default'; end $$;

create table spans (span_id integer, during int4range);

insert into accounts (account_id, name, email, balance, opened, parent_id)
values
    (1, 'Ada', 'ada@example.com', 100, '2024-01-01', null),
    (2, 'Bob', 'bob@example.com', 0, '2024-02-01', 1);

insert into payments (payment_id, account_id, amount, parts)
values
    (1, 1, 10, 2),
    (2, 2, 5, 0);

insert into stg_accounts (day, account_id, name, balance, opened, details)
values
    ('day1', '3', 'Cy', '12.50', '2024-03-01', '{"tags": ["a"]}'),
    ('day1', 'x4', 'Di', '12,50', '2024-02-30', '{"tags": "a"');
