-- Canary: the first users of an audience get their mails, then the job waits,
-- then the rest follows. Guards: a job whose mails bounce, fail or draw
-- complaints pauses itself.
SET LOCAL search_path = foliopost;

ALTER TABLE jobs
    ADD COLUMN canary_users   bigint NOT NULL DEFAULT 0 CHECK (canary_users >= 0), -- 0: no canary
    ADD COLUMN canary_wait_ms bigint NOT NULL DEFAULT 0 CHECK (canary_wait_ms >= 0),
    ADD COLUMN canary_until   timestamptz,           -- set when they have their outcomes
    ADD COLUMN guard_base     bigint[] NOT NULL DEFAULT '{0,0,0,0}'
        CHECK (cardinality(guard_base) = 4);         -- mails, failed, bounced, complained when a guard last paused it
