-- Approval: a job that needs it stays PENDING until somebody else than its
-- submitter has approved it. Who submits by a schedule is who wrote that last.
SET LOCAL search_path = foliopost;

ALTER TABLE jobs
    ADD COLUMN needs_approval boolean NOT NULL DEFAULT false,
    ADD COLUMN submitted_by   text NOT NULL DEFAULT '',  -- an identity's name; '': of before this migration
    ADD COLUMN approved_by    text NOT NULL DEFAULT '',
    ADD COLUMN approved_at    timestamptz,               -- null: not yet
    ADD CHECK ((approved_at IS NULL) = (approved_by = ''));

ALTER TABLE schedules ADD COLUMN changed_by text NOT NULL DEFAULT '';
