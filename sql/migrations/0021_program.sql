-- What a live process knows: the newest migration of its program. Services of the
-- version before work on during a rollout, and a job that they would carry out
-- wrongly is to wait for its end: the leader lets no users into it meanwhile
-- (services/scheduler/rollout.c).
SET LOCAL search_path = foliopost;

ALTER TABLE instances ADD COLUMN schema_version integer NOT NULL DEFAULT 0; -- 0: from before this migration

-- A batch of a dry run that such a mailer was sent all the same is not its own: the
-- claim changes nothing, and it drops the batch as one that another has. It could
-- send nothing (the check of 0017), but it would record nothing any more either.
CREATE FUNCTION claim_of_dry_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM foliopost.instances i WHERE i.id = NEW.owner AND i.schema_version < 17) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER claim_of_dry_run BEFORE UPDATE OF owner ON batches FOR EACH ROW WHEN (NEW.dry_run)
    EXECUTE FUNCTION claim_of_dry_run();
