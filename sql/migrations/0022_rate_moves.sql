-- When a provider's rate was lowered and raised last: one wave of throttling replies
-- reaches every mailer, and each of them asks for the rise that follows. It is lowered
-- once for the wave, and rises at one pace however many mailers there are.
SET LOCAL search_path = foliopost;

ALTER TABLE provider_rates
    ADD COLUMN lowered_at timestamptz, -- null: never
    ADD COLUMN raised_at  timestamptz;
