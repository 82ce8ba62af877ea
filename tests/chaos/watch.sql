-- What a run of chaos adds to the ledger's database: triggers that see who wrote
-- what, and note what nobody may do. Only in the database of such a run.
--
-- A process is known by application_name, which is the address of its instance
-- (NAME.START). Triggers run at the end of the statement and see all that was
-- committed by then. So a lease counts as over only when it was over before the
-- statement began: a statement that waited for a lock is not accused. The services
-- have the roles of sql/roles.sql, which know nothing of all this: so its owner's rights.
CREATE SCHEMA watch;
CREATE TABLE watch.wrong (at timestamptz DEFAULT clock_timestamp(), writer text, what text, batch_id bigint, user_id bigint, detail text);
-- Mails that were open when their batch was taken from its owner.
CREATE TABLE watch.orphans (at timestamptz DEFAULT clock_timestamp(), owner uuid, batch_id bigint, intents integer);

CREATE FUNCTION watch.note(what text, batch bigint, who bigint, detail text) RETURNS void LANGUAGE sql AS
$$ INSERT INTO watch.wrong (writer, what, batch_id, user_id, detail)
   VALUES (current_setting('application_name'), what, batch, who, detail) $$;

-- True when the writer owns what he writes on, by a lease that held when his statement began.
CREATE FUNCTION watch.owns(owner_id uuid) RETURNS boolean LANGUAGE sql AS
$$ SELECT EXISTS (SELECT FROM foliopost.instances i WHERE i.id = owner_id
    AND i.address = current_setting('application_name') AND i.lease_until >= statement_timestamp()) $$;

CREATE FUNCTION watch.delivery() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    b record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.state IN ('sent', 'failed', 'skipped') AND NEW.state <> OLD.state
            AND NOT (OLD.state = 'failed' AND NEW.state = 'deferred' AND current_setting('application_name') LIKE 'scheduler%'
                AND EXISTS (SELECT FROM foliopost.jobs j WHERE j.id = NEW.job_id AND j.round > 1)) THEN -- opened again
            PERFORM watch.note('an outcome changed', NEW.batch_id, NEW.user_id, OLD.state || ' to ' || NEW.state);
        END IF;
        IF NEW.maybe_doubles < OLD.maybe_doubles THEN
            PERFORM watch.note('maybe_doubles lowered', NEW.batch_id, NEW.user_id, '');
        END IF;
    END IF;
    IF current_setting('application_name') NOT LIKE 'mailer%' THEN
        RETURN NULL;
    END IF;
    SELECT state, owner, epoch INTO b FROM foliopost.batches WHERE id = NEW.batch_id;
    IF NEW.reason = 'lease over while sending' AND NEW.state IN ('ambiguous', 'requeued') THEN
        IF b.state <> 'queued' OR b.epoch <> NEW.epoch THEN
            PERFORM watch.note('stale outcome (forget)', NEW.batch_id, NEW.user_id, b.state);
        END IF;
    ELSIF TG_OP = 'UPDATE' AND OLD.reason = 'lease over while sending' AND OLD.epoch = NEW.epoch
        AND OLD.batch_id = NEW.batch_id THEN
        NULL; -- late truth: told about his own claim by who had it
    ELSIF b.state <> 'sending' OR b.epoch <> NEW.epoch OR NOT watch.owns(b.owner) THEN
        PERFORM watch.note('stale outcome', NEW.batch_id, NEW.user_id,
            format('batch %s, epoch %s, written for %s', b.state, b.epoch, NEW.epoch));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER INSERT OR UPDATE ON foliopost.deliveries FOR EACH ROW EXECUTE FUNCTION watch.delivery();

CREATE FUNCTION watch.batch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    mailer boolean := current_setting('application_name') LIKE 'mailer%';
BEGIN
    IF OLD.state = 'sending' AND NEW.state = 'queued' AND OLD.open_intents <> '{}' THEN
        INSERT INTO watch.orphans (owner, batch_id, intents) VALUES (OLD.owner, OLD.id, cardinality(OLD.open_intents));
    END IF;
    IF NEW.user_ids <> OLD.user_ids OR NEW.job_id <> OLD.job_id THEN
        PERFORM watch.note('a batch changed its users', NEW.id, NULL, '');
    END IF;
    IF NEW.epoch <> OLD.epoch + (OLD.state = 'queued' AND NEW.state = 'sending')::integer THEN
        PERFORM watch.note('an epoch is not one claim', NEW.id, NULL, OLD.epoch || ' to ' || NEW.epoch);
    END IF;
    IF OLD.state IN ('done', 'split') AND NEW.state <> OLD.state THEN
        PERFORM watch.note('a finished batch opened', NEW.id, NULL, OLD.state || ' to ' || NEW.state);
    END IF;
    IF NEW.state <> 'sending' AND NEW.open_intents <> '{}' THEN
        PERFORM watch.note('an intent outside a claim', NEW.id, NULL, NEW.state);
    END IF;
    IF OLD.state = 'sending' AND NEW.state = 'sending' AND NEW.claim_token IS DISTINCT FROM OLD.claim_token THEN
        PERFORM watch.note('claimed twice', NEW.id, NULL, '');
    END IF;
    IF mailer AND NEW.state = 'sending' AND NOT watch.owns(NEW.owner) THEN
        PERFORM watch.note('stale claim or record', NEW.id, NULL, '');
    END IF;
    IF mailer AND OLD.state = 'sending' AND NEW.state IN ('done', 'queued') AND NOT watch.owns(OLD.owner) THEN
        PERFORM watch.note('stale finish or release', NEW.id, NULL, NEW.state);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER UPDATE ON foliopost.batches FOR EACH ROW EXECUTE FUNCTION watch.batch();
