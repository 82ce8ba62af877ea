-- Jobs that do everything but send. No intent can be opened for a batch of one,
-- whatever mailer claims it, also one of before this migration: and without an
-- intent nothing goes out. The trigger, so that whoever inserts batches need not know.
SET LOCAL search_path = foliopost;

ALTER TABLE jobs ADD COLUMN dry_run boolean NOT NULL DEFAULT false;

ALTER TABLE batches
    ADD COLUMN dry_run boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT dry_run OR cardinality(open_intents) = 0);

CREATE FUNCTION batch_of_dry_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.dry_run := coalesce((SELECT j.dry_run FROM foliopost.jobs j WHERE j.id = NEW.job_id), false);
    RETURN NEW;
END $$;
CREATE TRIGGER batch_of_dry_run BEFORE INSERT ON batches FOR EACH ROW EXECUTE FUNCTION batch_of_dry_run();

ALTER TABLE deliveries ADD COLUMN size_bytes integer; -- of a mail that a dry run wrote; null: of any other
