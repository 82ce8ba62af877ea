-- One user's mail outside of any job, asked for by PreviewEmail and SendTest: the
-- scheduler writes who, stats the figures, the mailer the answer, and whoever asked
-- takes the row away. Unlogged, so that no copy of it gets into the WAL, a replica or a
-- backup: after a crash there is none, and the client asks again. Vacuumed as soon
-- as anything was deleted, so that nothing of it stays in the files either.
SET LOCAL search_path = foliopost;

CREATE UNLOGGED TABLE previews (
    id         uuid PRIMARY KEY,
    state      text NOT NULL DEFAULT 'asked'
               CHECK (state IN ('asked', 'computing', 'computed', 'writing', 'answered')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,                    -- nobody works on it any more, and it is deleted
    owner      uuid,                                    -- who computes or writes it
    send_to    text NOT NULL DEFAULT '',                -- the test mail's address; '': nothing is sent
    provider   text NOT NULL DEFAULT '',                -- through which; '': the brand's, or the first
    users      bytea CHECK (octet_length(users) <= 262144),     -- UserBatch of one: from scheduler to stats
    summary    bytea CHECK (octet_length(summary) <= 262144),   -- SummaryBatch of one: from stats to mailer
    answer     bytea CHECK (octet_length(answer) <= 1048576)    -- RpcReply
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_threshold = 0, toast.autovacuum_vacuum_scale_factor = 0);
