-- What a provider's account says of itself (SES: GetAccount). A mailer that cannot read
-- it leaves what others have read, and the account's quota is one of the last 24 hours,
-- not of a day: the row has the account's own count, which is read again every hour.
SET LOCAL search_path = foliopost;

ALTER TABLE provider_rates
    ADD COLUMN account_read_at timestamptz,                      -- null: it never was, or cannot be
    ADD COLUMN quota_rolls     boolean NOT NULL DEFAULT false;   -- daily_quota is the account's, quota_used its count
