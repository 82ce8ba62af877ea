-- The data contract: what a company offers, as tables or as views over its own.
-- Foliopost only reads it. docs/data-contract.md explains each column;
-- `foliopost doctor` checks a database against it.
CREATE SCHEMA IF NOT EXISTS portfolio;

-- created_at of a user never changes. (created_at, id) is the order of paging.
CREATE TABLE portfolio.users (
    id            bigint PRIMARY KEY,
    email         text NOT NULL,
    first_name    text NOT NULL DEFAULT '',
    last_name     text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL,
    locale        text NOT NULL DEFAULT '',       -- BCP 47
    time_zone     text NOT NULL DEFAULT '',       -- IANA
    base_currency text NOT NULL                   -- ISO 4217
);
CREATE UNIQUE INDEX users_created_at_id ON portfolio.users (created_at, id);

-- Who wants which report. No row: the job's default, which is to send.
CREATE TABLE portfolio.preferences (
    user_id bigint NOT NULL,
    kind    text NOT NULL,                        -- weekly, monthly, custom
    enabled boolean NOT NULL,
    brand   text NOT NULL DEFAULT '',
    PRIMARY KEY (user_id, kind)
);

CREATE TABLE portfolio.accounts (
    id       bigint PRIMARY KEY,
    user_id  bigint NOT NULL,
    kind     text NOT NULL,                       -- custody, cash
    currency text NOT NULL
);
CREATE INDEX accounts_user ON portfolio.accounts (user_id);

CREATE TABLE portfolio.instruments (
    id          bigint PRIMARY KEY,
    symbol      text NOT NULL,
    name        text NOT NULL,
    currency    text NOT NULL,
    asset_class text NOT NULL DEFAULT ''
);

-- Amounts are signed as they change the cash account: a buy is negative.
-- amount is net of fee and tax (amount = -(quantity * price) - fee - tax for a
-- buy); fee and tax are positive costs, stated for themselves.
CREATE TABLE portfolio.transactions (
    id            bigint PRIMARY KEY,
    user_id       bigint NOT NULL,
    account_id    bigint NOT NULL,
    instrument_id bigint,                         -- null for cash
    type          text NOT NULL,                  -- deposit withdrawal buy sell dividend interest fee tax
                                                  -- delivery_in delivery_out transfer_in transfer_out
    quantity      numeric(28, 8) NOT NULL DEFAULT 0, -- positive
    price         numeric(28, 8),                 -- for each unit, in currency
    amount        numeric(20, 4) NOT NULL,        -- in currency
    fee           numeric(20, 4) NOT NULL DEFAULT 0,
    tax           numeric(20, 4) NOT NULL DEFAULT 0,
    currency      text NOT NULL,
    trade_date    date NOT NULL,
    recorded_at   timestamptz NOT NULL
);
-- Includes what a checkpoint is held against: an index alone answers.
CREATE INDEX transactions_user ON portfolio.transactions (user_id, trade_date) INCLUDE (id, recorded_at);

-- Closes as traded, not adjusted for splits.
CREATE TABLE portfolio.prices (
    instrument_id bigint NOT NULL,
    day           date NOT NULL,
    close         numeric(28, 8) NOT NULL,
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (instrument_id, day)
);

-- One unit of base costs `rate` units of quote.
CREATE TABLE portfolio.fx_rates (
    base  text NOT NULL,
    quote text NOT NULL,
    day   date NOT NULL,
    rate  numeric(24, 10) NOT NULL,
    PRIMARY KEY (base, quote, day)
);

-- On `day` each `denominator` shares became `numerator`; a transaction on that
-- day is in new shares already.
CREATE TABLE portfolio.splits (
    instrument_id bigint NOT NULL,
    day           date NOT NULL,
    numerator     integer NOT NULL,
    denominator   integer NOT NULL,
    PRIMARY KEY (instrument_id, day)
);
