-- The ledger: who is to get which mail, what became of it, and who is at it.
--
-- Applied by `foliopost migrate` in one transaction. The names of the states
-- are the same here, in proto/foliopost/v1 and in lib/ledger; the transitions
-- stand in lib/ledger/batches.h and jobs.h. Time is always the database's
-- clock_timestamp(). Rows that change often have a fillfactor, so that updates
-- stay on their page, and no index stands on a column that changes on the way
-- of every batch except small partial ones.
CREATE SCHEMA IF NOT EXISTS foliopost;
SET LOCAL search_path = foliopost;

-- One row for each running (or ended) process. Its lease covers all it owns.
CREATE TABLE instances (
    id          uuid PRIMARY KEY,
    service     text NOT NULL,
    address     text NOT NULL DEFAULT '',
    version     text NOT NULL DEFAULT '',
    slots       integer NOT NULL DEFAULT 0,       -- batches it can have claimed at once
    state       text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'ended', 'expired')),
    note        text NOT NULL DEFAULT '',         -- why it stands, for the operator
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX instances_live ON instances (service) WHERE state = 'live';

-- The leader's lease: one row. A term grows with each change of leader.
CREATE TABLE leader (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    owner       uuid,
    term        bigint NOT NULL DEFAULT 0,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO leader DEFAULT VALUES;

CREATE TABLE jobs (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id        text NOT NULL UNIQUE CHECK (length(request_id) BETWEEN 1 AND 128),
    spec_hash         text NOT NULL,              -- of the specification as submitted
    parent_job        bigint REFERENCES jobs,
    kind              text NOT NULL CHECK (kind IN ('weekly', 'monthly', 'custom')),
    title             text NOT NULL DEFAULT '',
    brand             text NOT NULL DEFAULT 'default',
    template_name     text NOT NULL DEFAULT 'statement',
    template_hash     text NOT NULL DEFAULT '',
    period_start      date NOT NULL,              -- first day
    period_end        date NOT NULL,              -- last day, inclusive
    user_ids          bigint[],                   -- sorted, distinct; null: by registration
    registered_from   timestamptz,                -- inclusive; null until planned: the first user's
    audience_end      timestamptz NOT NULL,       -- exclusive, frozen at submission
    ambiguous_policy  text NOT NULL DEFAULT 'hold' CHECK (ambiguous_policy IN ('hold', 'resend')),
    max_attempts      integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
    batch_size        integer NOT NULL CHECK (batch_size BETWEEN 1 AND 200),
    window_batches    integer NOT NULL DEFAULT 0, -- 0: by rate and mailers
    interval_delay_ms integer NOT NULL DEFAULT 0,
    deadline          timestamptz,
    as_of             timestamptz NOT NULL,
    mail_date         timestamptz NOT NULL,
    traceparent       text NOT NULL DEFAULT '',
    state             text NOT NULL DEFAULT 'PENDING'
                      CHECK (state IN ('PENDING', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED')),
    response          text NOT NULL DEFAULT '',
    waiting           text NOT NULL DEFAULT '',   -- why it does not go on, set by the leader
    round             integer NOT NULL DEFAULT 1,
    revived           integer NOT NULL DEFAULT 0, -- + 1 when a late truth opens a finished user again
    submitted_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at        timestamptz,
    finished_at       timestamptz,
    proofs            jsonb NOT NULL DEFAULT '[]', -- one object for each round
    CHECK (period_start <= period_end)
) WITH (fillfactor = 70);
CREATE INDEX jobs_open ON jobs (id) WHERE state IN ('PENDING', 'IN_PROGRESS', 'PAUSED');

CREATE TABLE intervals (
    job_id      bigint NOT NULL REFERENCES jobs,
    no          integer NOT NULL,                 -- 1, 2, ... without a gap
    lower_at    timestamptz NOT NULL,             -- registered from, inclusive
    upper_at    timestamptz NOT NULL,             -- registered to, exclusive
    state       text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'granted', 'paged')),
    cursor_at   timestamptz NOT NULL,             -- last user paged: (created_at, id);
    cursor_id   bigint NOT NULL,                  -- at first (lower_at, least id); a list job uses the id alone
    grant_no    integer NOT NULL DEFAULT 0,
    grant_pages integer NOT NULL DEFAULT 0,       -- still open of the current grant
    due_at      timestamptz,                      -- of the grant: put off by each of its pages
    due_ms      bigint NOT NULL DEFAULT 0,        -- the length of that; doubled when it was too short
    started_at  timestamptz,
    paged_at    timestamptz,
    PRIMARY KEY (job_id, no)
) WITH (fillfactor = 70);
CREATE INDEX intervals_open ON intervals (job_id, no) WHERE state <> 'paged';

CREATE TABLE batches (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       bigint NOT NULL,
    interval_no  integer NOT NULL,
    round        integer NOT NULL DEFAULT 1,
    origin       text NOT NULL CHECK (origin IN ('page', 'split', 'retry')),
    parent_batch bigint,                          -- of a split
    user_ids     bigint[] NOT NULL,               -- never changes
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'done', 'split')),
    owner        uuid,                            -- the instance that claimed it last
    epoch        integer NOT NULL DEFAULT 0,      -- + 1 with each claim
    claim_token  uuid,
    open_intents bigint[] NOT NULL DEFAULT '{}',  -- users whose mail may be going out now
    due_at       timestamptz NOT NULL,            -- when to emit it (again), while queued; -infinity: at once
    emits        integer NOT NULL DEFAULT 1,      -- times sent down the pipeline
    redos        integer NOT NULL DEFAULT 0,      -- those that count towards a split
    emitted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_emitted_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- of the copies that may be on their way
    claimed_at   timestamptz,
    finished_at  timestamptz,
    sent         integer NOT NULL DEFAULT 0,      -- filled in by finish
    failed       integer NOT NULL DEFAULT 0,
    skipped      integer NOT NULL DEFAULT 0,
    ambiguous    integer NOT NULL DEFAULT 0,
    deferred     integer NOT NULL DEFAULT 0
) WITH (fillfactor = 60);
CREATE INDEX batches_job ON batches (job_id, interval_no);
CREATE INDEX batches_open ON batches (job_id, id) WHERE state IN ('queued', 'sending');

-- One row for each (job, user): the outcome. Partitioned by range of job id,
-- so that the runs of a year are dropped and not deleted.
CREATE TABLE deliveries (
    job_id        bigint NOT NULL,
    user_id       bigint NOT NULL,
    batch_id      bigint NOT NULL,
    epoch         integer NOT NULL DEFAULT 0,     -- of the batch when this was written
    state         text NOT NULL CHECK (state IN ('sent', 'failed', 'skipped', 'ambiguous', 'deferred', 'requeued')),
    reason        text NOT NULL DEFAULT '',
    provider_id   text NOT NULL DEFAULT '',
    attempts      smallint NOT NULL DEFAULT 0,
    maybe_doubles smallint NOT NULL DEFAULT 0,    -- never lowered
    due_at        timestamptz,                    -- of the next attempt, while deferred
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, user_id)
) PARTITION BY RANGE (job_id);
CREATE INDEX deliveries_deferred ON deliveries (job_id, due_at) WHERE state = 'deferred';
CREATE INDEX deliveries_remarkable ON deliveries (job_id, state, user_id) WHERE state <> 'sent';

-- What the provider reports later: delivered, bounced, complained.
CREATE TABLE delivery_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      bigint NOT NULL,
    user_id     bigint NOT NULL,
    event       text NOT NULL,
    provider    text NOT NULL DEFAULT '',
    detail      text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX delivery_events_user ON delivery_events (job_id, user_id);

-- Nobody here is mailed. Checked at paging and again before sending.
CREATE TABLE suppressions (
    user_id    bigint PRIMARY KEY,
    reason     text NOT NULL,
    source     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz
);

-- The provider's rate, one number for all mailers (GCRA), and why it stands.
CREATE TABLE provider_rates (
    provider       text PRIMARY KEY,
    rate           double precision NOT NULL,     -- mails a second in force; 0: no limit
    rate_limit     double precision NOT NULL,     -- as configured; 0: no limit
    next_free      timestamptz NOT NULL DEFAULT '-infinity',
    lowered_until  timestamptz,                   -- after throttling replies
    fault          text NOT NULL DEFAULT '',      -- '' when well
    fault_since    timestamptz,
    touched_at     timestamptz NOT NULL DEFAULT clock_timestamp() -- by a mailer: configure, take, fault
) WITH (fillfactor = 50);

CREATE TABLE schedules (
    name       text PRIMARY KEY,
    cron       text NOT NULL,
    time_zone  text NOT NULL DEFAULT 'UTC',
    spec       bytea NOT NULL,
    enabled    boolean NOT NULL DEFAULT true,
    last_fired timestamptz
);

CREATE TABLE checkpoints (
    user_id     bigint NOT NULL,
    month_end   date NOT NULL,
    fingerprint bytea NOT NULL,
    state       bytea NOT NULL,
    PRIMARY KEY (user_id, month_end)
);

-- Who asked for what, and what was answered.
CREATE TABLE audit (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor  text NOT NULL,
    action text NOT NULL,
    job_id bigint,
    detail text NOT NULL DEFAULT ''
);

-- What went wrong, for people: one line for each fault, none for each user.
CREATE TABLE error_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    service  text NOT NULL,
    instance uuid,
    job_id   bigint,
    batch_id bigint,
    code     text NOT NULL,
    message  text NOT NULL
);

-- Makes the partition that holds a job's deliveries, if it is not there yet.
-- Attached rather than created in place: that takes no lock that stops readers.
CREATE FUNCTION ensure_delivery_partition(job bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = foliopost, pg_temp AS $$
DECLARE
    jobs_each CONSTANT bigint := 64;
    first     bigint := job / jobs_each * jobs_each;
    part      text := 'deliveries_' || first;
BEGIN
    IF job < 0 THEN
        RAISE EXCEPTION 'job id % is negative', job;
    END IF;
    IF to_regclass('foliopost.' || part) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('foliopost.deliveries'));
    IF to_regclass('foliopost.' || part) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE deliveries INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', part);
    EXECUTE format('ALTER TABLE deliveries ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', part, first, first + jobs_each);
END $$;
REVOKE ALL ON FUNCTION ensure_delivery_partition(bigint) FROM PUBLIC;
