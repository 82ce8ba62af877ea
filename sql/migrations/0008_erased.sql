-- Users who were erased: known by a hash alone, so that a late report about one,
-- or a resend, is told from one about a stranger.
SET LOCAL search_path = foliopost;

CREATE TABLE erased (
    user_hash bytea PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Under the ledger's salt, as the hashes of addresses (0002).
CREATE FUNCTION user_hash(user_id bigint) RETURNS bytea
LANGUAGE sql STABLE SET search_path = foliopost, pg_temp AS $$
    SELECT sha256(salt || '\x75736572'::bytea || int8send(user_id)) FROM address_salt
$$;

-- The id that stands in a user's place: always the same, and far above every id
-- of a real one (2^62 and more), so that it is never taken for one.
CREATE FUNCTION user_pseudonym(user_id bigint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = foliopost, pg_temp AS $$
    SELECT (('x' || encode(substr(user_hash(user_id), 1, 8), 'hex'))::bit(64)::bigint
        & 4611686018427387903) | 4611686018427387904
$$;
