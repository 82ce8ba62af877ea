-- A role for each service, with what it needs and no more. Run as the owner of
-- both schemas, after `foliopost migrate`, and again after each migration:
--
--   psql -v ON_ERROR_STOP=1 -f sql/roles.sql "$LEDGER_DSN"
--
-- Where the source is another database, run it there too, as the owner of that
-- schema: it gives rights on those of the two schemas that are there. It is one
-- transaction: while it runs, again, services keep what they have. Passwords (or certificates) are yours to give: ALTER ROLE ... PASSWORD.
-- tests/scenarios/test_roles.py sends a whole job under these roles, and tries
-- what they must not do.
--
--   who          reads                                 writes
--   scheduler    ledger; users, preferences, prices    ledger but checkpoints
--   userstream   jobs, intervals, batches, suppressions; users, preferences   batches, cursors
--   stats        checkpoints; transactions and the market  checkpoints, a batch's due time (release), summaries of previews
--   mailer       its ledger tables; nothing of portfolio   batches, outcomes, rates, suppressions, previews
--   inbound      who got which mail                    suppressions, events
--   autoscaler   the view backlog, and nothing else    nothing
-- and each but the last instances of its own kind and lines of error_log. Columns
-- and rows are named where a table is more than a service needs: a mailer's are
-- those of a batch's way and of a job's pause. One role serves all processes of a
-- service, so that of one and the same kind nobody is kept from another's row.
BEGIN;

DO $$
DECLARE
    r text;
    s text;
BEGIN
    IF coalesce(to_regnamespace('foliopost'), to_regnamespace('portfolio')) IS NULL THEN
        RAISE 'neither schema foliopost nor schema portfolio is in this database'
            USING HINT = 'Run foliopost migrate first.';
    END IF;
    FOREACH r IN ARRAY ARRAY['scheduler', 'userstream', 'stats', 'mailer', 'inbound'] LOOP
        r := 'foliopost_' || r;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', r);
        END IF;
        -- Nobody waits or idles for ever, whatever a client does. A proof of a
        -- job of millions reads each delivery once.
        EXECUTE format('ALTER ROLE %I SET lock_timeout = ''20s''', r);
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''10min''', r);
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''30s''', r);
        FOR s IN SELECT nspname FROM pg_namespace WHERE nspname IN ('foliopost', 'portfolio') LOOP
            EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', s, r);
        END LOOP;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'foliopost_autoscaler') THEN
        CREATE ROLE foliopost_autoscaler LOGIN;
    END IF;
    ALTER ROLE foliopost_autoscaler SET statement_timeout = '5s';
END $$;

-- The ledger.
DO $$
DECLARE
    r text;
BEGIN
IF to_regnamespace('foliopost') IS NULL THEN
    RETURN;
END IF;
FOREACH r IN ARRAY ARRAY['scheduler', 'userstream', 'stats', 'mailer', 'inbound'] LOOP
    r := 'foliopost_' || r;
    EXECUTE format('GRANT USAGE ON SCHEMA foliopost TO %I', r);
    EXECUTE format('GRANT SELECT ON foliopost.schema_version TO %I', r);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (lease_until, slots, note, state) ON foliopost.instances TO %I', r);
    EXECUTE format('GRANT INSERT ON foliopost.error_log TO %I', r);
END LOOP;

-- scheduler: every step of a job, and every question about one.
GRANT SELECT ON ALL TABLES IN SCHEMA foliopost TO foliopost_scheduler;
-- of what is kept of a user's figures only whose it is: it erases it
REVOKE SELECT ON foliopost.checkpoints FROM foliopost_scheduler;
GRANT SELECT (user_id) ON foliopost.checkpoints TO foliopost_scheduler;
GRANT INSERT, UPDATE ON foliopost.jobs, foliopost.intervals, foliopost.batches, foliopost.deliveries,
    foliopost.leader, foliopost.schedules, foliopost.identities TO foliopost_scheduler;
GRANT UPDATE ON foliopost.provider_rates, foliopost.delivery_events, foliopost.audit, foliopost.error_log TO foliopost_scheduler;
GRANT DELETE ON foliopost.schedules TO foliopost_scheduler;
GRANT INSERT, DELETE ON foliopost.firings TO foliopost_scheduler;
GRANT INSERT ON foliopost.erased TO foliopost_scheduler;
GRANT DELETE ON foliopost.checkpoints, foliopost.recovered_mails TO foliopost_scheduler;
GRANT INSERT, UPDATE, DELETE ON foliopost.suppressions TO foliopost_scheduler;
GRANT INSERT ON foliopost.audit TO foliopost_scheduler;
GRANT EXECUTE ON FUNCTION foliopost.ensure_delivery_partition(bigint) TO foliopost_scheduler;
-- of a preview what it asks and what it is answered, not the figures in between
REVOKE SELECT ON foliopost.previews FROM foliopost_scheduler;
GRANT SELECT (id, state, expires_at, answer), INSERT, DELETE ON foliopost.previews TO foliopost_scheduler;

-- userstream: pages of users.
GRANT SELECT ON foliopost.jobs, foliopost.intervals, foliopost.batches, foliopost.suppressions, foliopost.address_salt
    TO foliopost_userstream;
GRANT UPDATE (cursor_at, cursor_id, users, grant_pages, due_at, due_ms, state, paged_at) ON foliopost.intervals
    TO foliopost_userstream;
GRANT INSERT, UPDATE (due_at) ON foliopost.batches TO foliopost_userstream;

-- stats: figures. It touches nothing of a delivery.
GRANT SELECT, INSERT, UPDATE, DELETE ON foliopost.checkpoints TO foliopost_stats;
GRANT SELECT (id, state, due_at), UPDATE (due_at) ON foliopost.batches TO foliopost_stats;
GRANT SELECT (id, state, created_at, expires_at, owner, send_to, provider, users),
    UPDATE (state, owner, users, summary, answer) ON foliopost.previews TO foliopost_stats;

-- mailer: batches and their outcomes. What users own is none of its business.
-- It pauses a job whose sender is refused, and notes its templates: see the policies below.
GRANT SELECT ON foliopost.jobs, foliopost.batches, foliopost.deliveries TO foliopost_mailer;
GRANT UPDATE (state, response, waiting, template_hash, revived) ON foliopost.jobs TO foliopost_mailer;
GRANT UPDATE (state, owner, claim_token, epoch, open_intents, claimed_at, due_at, finished_at, sent, failed, skipped,
    ambiguous, deferred) ON foliopost.batches TO foliopost_mailer;
GRANT INSERT, UPDATE (epoch, state, reason, provider_id, provider, attempts, maybe_doubles, due_at, address_hash,
    template_version, content_hash, size_bytes, updated_at) ON foliopost.deliveries TO foliopost_mailer;
GRANT SELECT, INSERT, UPDATE ON foliopost.provider_rates, foliopost.suppressions TO foliopost_mailer;
GRANT SELECT, INSERT ON foliopost.delivery_events, foliopost.providers TO foliopost_mailer;
GRANT SELECT (id, state, created_at, expires_at, owner, send_to, provider, summary),
    UPDATE (state, owner, users, summary, answer) ON foliopost.previews TO foliopost_mailer;
GRANT SELECT ON foliopost.address_salt TO foliopost_mailer;
GRANT INSERT ON foliopost.audit TO foliopost_mailer;

-- An autoscaler: how much is still to do, and no row of it.
GRANT USAGE ON SCHEMA foliopost TO foliopost_autoscaler;
GRANT SELECT ON foliopost.backlog TO foliopost_autoscaler;

-- inbound: what recipients and providers say.
GRANT SELECT ON foliopost.jobs, foliopost.deliveries, foliopost.address_salt, foliopost.erased TO foliopost_inbound;
GRANT SELECT, INSERT, UPDATE ON foliopost.suppressions TO foliopost_inbound;
GRANT SELECT, INSERT ON foliopost.delivery_events TO foliopost_inbound;

-- Rows. For the roles above alone: whoever else has a grant sees and writes as before.
-- A process writes instances of its own kind; the scheduler all, for it sweeps who died.
ALTER TABLE foliopost.instances ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS everybody ON foliopost.instances;
CREATE POLICY everybody ON foliopost.instances USING (true);
FOREACH r IN ARRAY ARRAY['userstream', 'stats', 'mailer', 'inbound'] LOOP
    EXECUTE format('DROP POLICY IF EXISTS %I ON foliopost.instances', r || '_inserts_its_own');
    EXECUTE format('DROP POLICY IF EXISTS %I ON foliopost.instances', r || '_updates_its_own');
    EXECUTE format('CREATE POLICY %I ON foliopost.instances AS RESTRICTIVE FOR INSERT TO %I WITH CHECK (service = %L)',
                   r || '_inserts_its_own', 'foliopost_' || r, r);
    EXECUTE format('CREATE POLICY %I ON foliopost.instances AS RESTRICTIVE FOR UPDATE TO %I USING (service = %L)',
                   r || '_updates_its_own', 'foliopost_' || r, r);
END LOOP;
-- A mailer changes no job that is over, and ends none.
ALTER TABLE foliopost.jobs ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS everybody ON foliopost.jobs;
CREATE POLICY everybody ON foliopost.jobs USING (true);
DROP POLICY IF EXISTS mailer_ends_none ON foliopost.jobs;
CREATE POLICY mailer_ends_none ON foliopost.jobs AS RESTRICTIVE FOR UPDATE TO foliopost_mailer
    USING (state IN ('PENDING', 'IN_PROGRESS', 'PAUSED'));
END $$;

-- The source, which nobody changes.
DO $$
BEGIN
IF to_regnamespace('portfolio') IS NULL THEN
    RETURN;
END IF;
GRANT USAGE ON SCHEMA portfolio TO foliopost_scheduler, foliopost_userstream, foliopost_stats;
GRANT SELECT ON portfolio.users, portfolio.preferences, portfolio.instruments, portfolio.prices TO foliopost_scheduler;
GRANT SELECT ON portfolio.users, portfolio.preferences TO foliopost_userstream;
GRANT SELECT ON portfolio.transactions, portfolio.instruments, portfolio.prices, portfolio.fx_rates, portfolio.splits
    TO foliopost_stats;
END $$;

COMMIT;
