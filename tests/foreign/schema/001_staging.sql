CREATE TABLE stg_customers (
    day          date NOT NULL,
    row_no       bigint NOT NULL,
    customer_id  bigint NOT NULL,
    email        varchar(200),
    full_name    text,
    credit_limit numeric(12, 2),
    modified_at  timestamptz,
    PRIMARY KEY (day, row_no)
);
CREATE TABLE stg_teams (
    day     date NOT NULL,
    team_id int NOT NULL,
    name    text NOT NULL,
    members int[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (day, team_id)
);
CREATE TABLE stg_departments (
    day       date NOT NULL,
    dept_id   int NOT NULL,
    parent_id int,
    name      text NOT NULL,
    headcount int NOT NULL DEFAULT 0,
    PRIMARY KEY (day, dept_id)
);
CREATE TABLE stg_prices (
    day   date NOT NULL,
    sku   text NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (day, sku)
);
CREATE TABLE stg_stock (
    day       date NOT NULL,
    sku       text NOT NULL,
    warehouse text NOT NULL,
    on_hand   int NOT NULL,
    PRIMARY KEY (day, sku, warehouse)
);
CREATE TABLE stg_suppliers (
    day         date NOT NULL,
    supplier_id int NOT NULL,
    name        text NOT NULL,
    city        text,
    deleted     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (day, supplier_id)
);
CREATE TABLE stg_payments (
    day        date NOT NULL,
    payment_id bigint NOT NULL,
    account_id bigint NOT NULL,
    amount     numeric(12, 2) NOT NULL,
    PRIMARY KEY (day, payment_id)
);
