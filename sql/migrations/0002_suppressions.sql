-- Who is not mailed any more, by user and by address, and what providers and
-- recipients report of a mail later.
--
-- An address is kept as 128 bits of an HMAC-SHA256 of its lower-case text under
-- the salt below (a uuid: 16 bytes without a header, and compared fast). It
-- cannot be turned back, but whoever has the salt can ask for an address he
-- knows: it is a pseudonym, so that somebody whose account was erased, or who
-- registers the address again, stays suppressed.
SET LOCAL search_path = foliopost;

CREATE TABLE address_salt (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    salt bytea NOT NULL
);
INSERT INTO address_salt (salt) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Nobody here is mailed. Checked at paging, at the claim, and while a batch
-- waits in a mailer. A row concerns its user and its address, a hard bounce
-- with an address the address alone: a user who mends his gets mail again.
ALTER TABLE suppressions RENAME TO suppressions_by_user;
CREATE TABLE suppressions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint,                          -- null: by address alone
    address_hash uuid,                            -- null: not known
    scope        text NOT NULL DEFAULT 'all' CHECK (scope IN ('all', 'weekly', 'monthly', 'custom')),
    reason       text NOT NULL CHECK (reason IN ('hard_bounce', 'manual', 'unsubscribe', 'complaint')),
    source       text NOT NULL DEFAULT '',        -- smtp, ses, sendgrid, dsn, one-click, rpc, ...
    evidence     text NOT NULL DEFAULT '',        -- what was said; never an address
    job_id       bigint,                          -- of the mail, where there was one
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,                     -- null: never
    CHECK (user_id IS NOT NULL OR address_hash IS NOT NULL)
);
INSERT INTO suppressions (user_id, reason, source, evidence, first_seen, expires_at)
SELECT user_id, CASE reason WHEN 'complaint' THEN 'complaint' WHEN 'unsubscribe' THEN 'unsubscribe' ELSE 'manual' END,
    source, reason, created_at, expires_at FROM suppressions_by_user;
DROP TABLE suppressions_by_user;
CREATE UNIQUE INDEX suppressions_subject ON suppressions
    (coalesce(user_id, 0), coalesce(address_hash, '00000000-0000-0000-0000-000000000000'::uuid), scope);
CREATE INDEX suppressions_user ON suppressions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX suppressions_address ON suppressions (address_hash) WHERE address_hash IS NOT NULL;

-- Where the mail went, so that a report of it suppresses that address.
ALTER TABLE deliveries ADD COLUMN address_hash uuid;

-- An event that is reported again has the same key and is stored once. The
-- guards count a job's bounces and complaints along the index, past the many
-- that were delivered.
ALTER TABLE delivery_events ADD COLUMN event_key text NOT NULL DEFAULT '';
ALTER TABLE delivery_events ADD CONSTRAINT delivery_events_event_check
    CHECK (event IN ('delivered', 'delayed', 'bounced', 'complained', 'unsubscribed'));
DROP INDEX delivery_events_user;
CREATE UNIQUE INDEX delivery_events_once ON delivery_events (job_id, event, user_id, event_key);
