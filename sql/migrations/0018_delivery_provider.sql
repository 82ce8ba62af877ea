-- Which provider an outcome comes from, so that what one of them refused can be
-- listed and tried again. A number in each delivery, two bytes that mostly lie
-- where the row is filled up anyway; the names are told once. Numbers are given
-- by mailers at their start and never again: a provider that is renamed is another.
SET LOCAL search_path = foliopost;

CREATE TABLE providers (
    no   smallint PRIMARY KEY CHECK (no > 0),
    name text NOT NULL UNIQUE
);
INSERT INTO providers (no, name)
SELECT row_number() OVER (ORDER BY provider), provider FROM provider_rates WHERE provider NOT LIKE 'domain:%';

ALTER TABLE deliveries ADD COLUMN provider smallint; -- null: no provider said so, or nobody knows which would have
