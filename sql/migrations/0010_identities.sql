-- Who may call JobService, and as what. Of a token there is its SHA-256 alone:
-- tokens are random, so a hash without salt gives nothing away, and finds its row.
SET LOCAL search_path = foliopost;

CREATE TABLE identities (
    name       text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'), -- stands in the audit; never given again
    roles      text[] NOT NULL CHECK (cardinality(roles) > 0
               AND roles <@ ARRAY['viewer', 'operator', 'approver', 'admin']),
    token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32),
    subject    text CHECK (subject <> ''), -- of a client's certificate, as RFC 2253 writes it
    expires_at timestamptz,                -- null: never
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    revoked_at timestamptz,
    CHECK (token_hash IS NOT NULL OR subject IS NOT NULL)
);
CREATE UNIQUE INDEX identities_subject ON identities (subject) WHERE revoked_at IS NULL;
