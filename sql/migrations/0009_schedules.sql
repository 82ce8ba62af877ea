-- Schedules: jobs that are submitted again and again. A due time fires once: the
-- key of its firing is written by the statement that makes the job.
SET LOCAL search_path = foliopost;

ALTER TABLE schedules
    ADD COLUMN next_due          timestamptz NOT NULL DEFAULT 'infinity', -- the next one that was not looked at yet
    ADD COLUMN overlap           text NOT NULL DEFAULT 'allow' CHECK (overlap IN ('allow', 'skip')),
    ADD COLUMN catch_up_ms       bigint NOT NULL DEFAULT 86400000 CHECK (catch_up_ms >= 0),
    ADD COLUMN deadline_after_ms bigint NOT NULL DEFAULT 0 CHECK (deadline_after_ms >= 0), -- 0: none
    ADD COLUMN version           bigint NOT NULL DEFAULT 1,  -- + 1 with every change and every firing
    ADD COLUMN created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN updated_at        timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX schedules_due ON schedules (next_due) WHERE enabled;

CREATE TABLE firings (
    schedule text NOT NULL REFERENCES schedules ON DELETE CASCADE,
    due      timestamptz NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome  text NOT NULL CHECK (outcome IN ('fired', 'missed', 'skipped', 'refused')),
    job_id   bigint,                                        -- of one that fired
    missed   bigint NOT NULL DEFAULT 0,                     -- earlier due times that it stands for
    reason   text NOT NULL DEFAULT '',
    PRIMARY KEY (schedule, due)
);
