-- What operators do: from where, and the rates that they set while mail goes out.
SET LOCAL search_path = foliopost;

ALTER TABLE audit ADD COLUMN peer text NOT NULL DEFAULT ''; -- the caller's address, where the door knows it
CREATE INDEX audit_job ON audit (job_id, id) WHERE job_id IS NOT NULL;

-- rate_limit is what holds: the operator's limit where there is one, else the
-- one that the mailers are configured with. So a mailer's start changes nothing
-- that an operator said.
ALTER TABLE provider_rates
    ADD COLUMN configured_limit double precision NOT NULL DEFAULT 0,
    ADD COLUMN operator_limit   double precision; -- null: none
UPDATE provider_rates SET configured_limit = rate_limit;
