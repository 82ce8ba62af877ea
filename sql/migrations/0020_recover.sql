-- After a restore from a backup (`foliopost recover`). What the ledger did not
-- know at the restored time may have gone out since, so a job that was open then
-- sends nothing more to whom it has no outcome for: he is ambiguous, or sent, where
-- a Message-ID tells of his mail. Users who were paged by then are settled by
-- recover(), the others by the statement that pages them, whoever runs it.
SET LOCAL search_path = foliopost;

CREATE TABLE recoveries (
    restored_to timestamptz PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    newest      timestamptz,      -- what the ledger had last been told, before
    jobs        integer NOT NULL, -- paused
    batches     integer NOT NULL, -- settled
    users       bigint NOT NULL,  -- made ambiguous
    intervals   integer NOT NULL, -- not read to their end, and jobs not begun: these users follow when they are paged
    firings     integer NOT NULL  -- schedules that were due meanwhile: their jobs will be paused ones
);

ALTER TABLE jobs ADD COLUMN restored_to timestamptz;      -- its mails since then are not known; null: any other job
ALTER TABLE batches ADD COLUMN restored boolean NOT NULL DEFAULT false; -- settled as soon as it was paged
ALTER TABLE schedules
    ADD COLUMN restored_to    timestamptz,
    ADD COLUMN restored_until timestamptz; -- what was due until then may have fired before: its job is as one that was open

-- Mails of restored jobs that certainly went out, for users who are not paged yet.
CREATE TABLE recovered_mails (
    job_id  bigint NOT NULL,
    user_id bigint NOT NULL,
    PRIMARY KEY (job_id, user_id)
);

CREATE FUNCTION restored_text(restored timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = foliopost, pg_temp AS $$
    SELECT 'restored to ' || to_char(restored AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"')
$$;

-- Every user of the batch without an outcome gets one, and the batch is done.
CREATE FUNCTION settle_restored(batch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = foliopost, pg_temp AS $$
DECLARE
    marked bigint;
BEGIN
    INSERT INTO deliveries AS d (job_id, user_id, batch_id, epoch, state, reason)
    SELECT b.job_id, u.user_id, b.id, b.epoch,
           CASE WHEN r.user_id IS NULL THEN 'ambiguous' ELSE 'sent' END,
           CASE WHEN r.user_id IS NULL THEN restored_text(j.restored_to) || ': may have been sent since'
                ELSE 'recovered: its Message-ID was listed' END
      FROM batches b
      JOIN jobs j ON j.id = b.job_id
     CROSS JOIN unnest(b.user_ids) AS u (user_id)
      LEFT JOIN recovered_mails r ON r.job_id = b.job_id AND r.user_id = u.user_id
     WHERE b.id = batch
        ON CONFLICT (job_id, user_id) DO UPDATE SET epoch = excluded.epoch, state = excluded.state,
           reason = excluded.reason, provider = NULL, due_at = NULL, updated_at = excluded.updated_at
     WHERE d.state = 'requeued' AND d.batch_id = excluded.batch_id;
    GET DIAGNOSTICS marked = ROW_COUNT;
    -- counted as by finish: who is in a later batch by now is counted there
    UPDATE batches b
       SET state = 'done', open_intents = '{}', claim_token = NULL, finished_at = clock_timestamp(),
           sent = c.sent, failed = c.failed, skipped = c.skipped, ambiguous = c.ambiguous, deferred = c.deferred
      FROM (SELECT count(*) FILTER (WHERE d.state = 'sent' AND d.batch_id <= batch) AS sent,
                   count(*) FILTER (WHERE d.state = 'failed' AND d.batch_id <= batch) AS failed,
                   count(*) FILTER (WHERE d.state = 'skipped' AND d.batch_id <= batch) AS skipped,
                   count(*) FILTER (WHERE d.state = 'ambiguous' AND d.batch_id <= batch) AS ambiguous,
                   count(*) FILTER (WHERE d.state = 'deferred' OR d.batch_id > batch) AS deferred
              FROM batches x
             CROSS JOIN unnest(x.user_ids) AS u (user_id)
              JOIN deliveries d ON d.job_id = x.job_id AND d.user_id = u.user_id
             WHERE x.id = batch) c
     WHERE b.id = batch;
    RETURN marked;
END $$;
REVOKE ALL ON FUNCTION settle_restored(bigint) FROM PUBLIC;

-- What a batch takes from its job, as 0017 has it, with what a restore adds. A
-- retry batch is another matter: its users are known not to have been sent.
CREATE OR REPLACE FUNCTION batch_of_dry_run() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    job record;
BEGIN
    SELECT j.dry_run, j.restored_to IS NOT NULL AS restored INTO job FROM foliopost.jobs j WHERE j.id = NEW.job_id;
    NEW.dry_run := coalesce(job.dry_run, false);
    NEW.restored := NEW.origin = 'page' AND coalesce(job.restored, false);
    RETURN NEW;
END $$;

CREATE FUNCTION batch_of_restored() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = foliopost, pg_temp AS $$
BEGIN
    PERFORM settle_restored(NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER batch_of_restored AFTER INSERT ON batches FOR EACH ROW WHEN (NEW.restored)
    EXECUTE FUNCTION batch_of_restored();

-- Numbers that may have been given away after the restored time are not given
-- again: they stand in Message-IDs, logs, audits and messages on the bus. A sequence
-- costs nothing to move, so by more than anybody can have used.
CREATE FUNCTION skip_numbers() RETURNS void
LANGUAGE plpgsql SET search_path = foliopost, pg_temp AS $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT pg_get_serial_sequence(t.name, 'id')::regclass AS seq, t.ahead
               FROM (VALUES ('jobs', 1000000), ('batches', 1000000000), ('delivery_events', 1000000000),
                            ('suppressions', 1000000000), ('audit', 1000000000), ('error_log', 1000000000))
                    AS t (name, ahead) LOOP
        PERFORM setval(s.seq, nextval(s.seq) + s.ahead);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION skip_numbers() FROM PUBLIC;

-- Why the ledger cannot be recovered now; null: it can.
CREATE FUNCTION recover_refused(restored timestamptz, newest timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = foliopost, pg_temp AS $$
DECLARE
    alive record;
BEGIN
    SELECT count(*) AS n, min(x.name) AS name, max(x.until) - clock_timestamp() AS more INTO alive
      FROM (SELECT service || ' ' || address AS name, lease_until AS until FROM instances WHERE state = 'live'
            UNION ALL SELECT 'the leading scheduler', lease_until FROM leader) x
     WHERE x.until > clock_timestamp() AND x.until < clock_timestamp() + interval '20 s';
    RETURN CASE
        WHEN restored > clock_timestamp() THEN 'the time is in the future'
        WHEN alive.n > 0 THEN format('a lease holds for %s s more, of %s: stop every service first, and then wait for that',
                                     ceil(extract(epoch FROM alive.more)), alive.name)
        WHEN newest > restored THEN format('the ledger has entries of %s, later than that: either it is not the restored '
                                           'one, or a service has run since, or it was restored to a later time', newest)
    END;
END $$;

-- All of it, or nothing; a dry run does it and takes it back. The second time it says
-- what the first one did.
CREATE FUNCTION recover(since timestamptz, actor text, dry_run boolean, OUT refused text, OUT existing boolean,
                        OUT done recoveries)
LANGUAGE plpgsql SET search_path = foliopost, pg_temp AS $$
DECLARE
    refusals bigint; -- deferred users who were due
BEGIN
    LOCK TABLE instances, leader, schedules, jobs, batches, deliveries IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO done FROM recoveries r WHERE r.restored_to = since;
    existing := FOUND;
    IF existing THEN
        RETURN;
    END IF;
    SELECT max(x.at) INTO done.newest
      FROM (SELECT clock_high AS at FROM leader WHERE isfinite(clock_high)
            UNION ALL SELECT max(audit.at) FROM audit
            UNION ALL SELECT max(submitted_at) FROM jobs
            UNION ALL SELECT max(started_at) FROM instances) x;
    refused := recover_refused(since, done.newest);
    IF refused IS NOT NULL THEN
        RETURN;
    END IF;
    done.restored_to := since;
    done.at := clock_timestamp();
    BEGIN
        -- who lived then is dead: none of them may renew its lease and go on
        UPDATE instances SET state = 'expired' WHERE state = 'live';
        UPDATE leader SET owner = NULL, lease_until = '-infinity', term = term + 1;

        WITH open AS (
            UPDATE jobs j
               SET state = 'PAUSED', waiting = '',
                   restored_to = CASE WHEN j.dry_run THEN NULL ELSE since END,
                   response = left(restored_text(since) || CASE WHEN j.state = 'PAUSED' AND j.response <> ''
                       THEN '; before that: ' || j.response ELSE '' END, 500)
             WHERE j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') RETURNING j.id, j.response),
        noted AS (
            INSERT INTO audit (actor, action, job_id, detail)
            SELECT actor, 'recover', open.id, open.response FROM open)
        SELECT count(*) INTO done.jobs FROM open;

        -- refused for now, and due since: tried again, it may be
        WITH marked AS (
            UPDATE deliveries d
               SET state = 'ambiguous', due_at = NULL, updated_at = clock_timestamp(),
                   reason = left(restored_text(since) || ': may have been sent since, after ' || d.reason, 255)
              FROM jobs j
             WHERE d.job_id = j.id AND j.state = 'PAUSED' AND j.restored_to = since
               AND d.state = 'deferred' AND d.due_at <= clock_timestamp()
            RETURNING d.batch_id),
        counted AS (
            UPDATE batches b SET deferred = b.deferred - m.n, ambiguous = b.ambiguous + m.n
              FROM (SELECT batch_id, count(*) AS n FROM marked GROUP BY batch_id) m
             WHERE b.id = m.batch_id AND b.state IN ('done', 'split'))
        SELECT count(*) INTO refusals FROM marked;

        SELECT count(*), coalesce(sum(settle_restored(b.id)), 0) INTO done.batches, done.users
          FROM batches b JOIN jobs j ON j.id = b.job_id
         WHERE j.state = 'PAUSED' AND j.restored_to = since AND b.state IN ('queued', 'sending');
        done.users := done.users + refusals;

        -- a dry run's
        UPDATE batches b SET state = 'queued', due_at = '-infinity', claim_token = NULL
          FROM jobs j WHERE j.id = b.job_id AND j.state = 'PAUSED' AND j.dry_run AND b.state = 'sending';

        SELECT count(*) INTO done.intervals FROM jobs j LEFT JOIN intervals v ON v.job_id = j.id
         WHERE j.state = 'PAUSED' AND j.restored_to = since AND v.state IS DISTINCT FROM 'paged';

        UPDATE schedules SET restored_to = since, restored_until = done.at, version = version + 1;
        SELECT count(*) INTO done.firings FROM schedules WHERE enabled AND next_due <= done.at;

        INSERT INTO recoveries SELECT done.*;
        IF dry_run THEN
            RAISE EXCEPTION USING ERRCODE = 'FP020';
        END IF;
        PERFORM skip_numbers(); -- no rollback would take that back
        INSERT INTO audit (actor, action, detail)
        SELECT actor, 'recover', restored_text(since) || format(': %s jobs paused, %s users ambiguous', done.jobs, done.users);
    EXCEPTION WHEN SQLSTATE 'FP020' THEN
        NULL;
    END;
END $$;
REVOKE ALL ON FUNCTION recover(timestamptz, text, boolean) FROM PUBLIC;
