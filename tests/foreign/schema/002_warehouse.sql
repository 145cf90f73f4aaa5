CREATE TABLE dim_customer (
    customer_id  bigint PRIMARY KEY,
    email        varchar(200),
    full_name    text,
    credit_limit numeric(12, 2),
    modified_at  timestamptz,
    loaded_day   date NOT NULL
);
CREATE TABLE teams (
    team_id int PRIMARY KEY,
    name    text NOT NULL,
    as_of   date NOT NULL
);
CREATE TABLE team_members (
    team_id int NOT NULL REFERENCES teams,
    user_id int NOT NULL,
    PRIMARY KEY (team_id, user_id)
);
CREATE TABLE departments (
    dept_id   int PRIMARY KEY,
    parent_id int,
    name      text NOT NULL,
    headcount int NOT NULL,
    as_of     date NOT NULL,
    is_empty  boolean NOT NULL DEFAULT false
);
CREATE TABLE price_points (
    sku   text NOT NULL,
    day   date NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (sku, day)
);
CREATE TABLE dim_price (
    sku        text NOT NULL,
    price      numeric(10, 2) NOT NULL,
    valid_from date NOT NULL,
    valid_to   date NOT NULL DEFAULT 'infinity',
    is_current boolean GENERATED ALWAYS AS (valid_to = 'infinity'::date) STORED,
    PRIMARY KEY (sku, valid_from)
);
CREATE TABLE fact_stock_daily (
    day       date NOT NULL,
    sku       text NOT NULL,
    warehouse text NOT NULL,
    on_hand   int NOT NULL,
    PRIMARY KEY (day, sku, warehouse)
);
CREATE TABLE suppliers (
    supplier_id int PRIMARY KEY,
    name        text NOT NULL,
    city        text,
    as_of       date NOT NULL
);
CREATE TABLE payments (
    payment_id bigint PRIMARY KEY,
    account_id bigint NOT NULL,
    amount     numeric(12, 2) NOT NULL,
    day        date NOT NULL
);
CREATE TABLE account_balance (
    account_id bigint PRIMARY KEY,
    balance    numeric(14, 2) NOT NULL
);
