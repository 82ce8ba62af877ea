-- A provider's daily quota, one number for all mailers: counted with the slices
-- of its rate, by days of UTC. Rows named 'domain:...' are recipients' domains
-- that have a rate of their own.
ALTER TABLE provider_rates
    ADD COLUMN daily_quota double precision NOT NULL DEFAULT 0, -- mails a day; 0: none
    ADD COLUMN quota_day   date,                                -- the day that quota_used is of
    ADD COLUMN quota_used  double precision NOT NULL DEFAULT 0; -- mails handed out on it
