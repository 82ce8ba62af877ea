-- A job's own pace: the zone that its days are of, the hours in which it sends,
-- and how many users a second it is given at most.
SET LOCAL search_path = foliopost;

ALTER TABLE jobs
    ADD COLUMN time_zone   text NOT NULL DEFAULT 'UTC',
    ADD COLUMN send_window text NOT NULL DEFAULT ''      -- '08:00-20:00', in time_zone; '': always
        CHECK (send_window = '' OR send_window ~ '^\d\d?:\d\d?-\d\d?:\d\d?$'),
    ADD COLUMN rate_limit  double precision NOT NULL DEFAULT 0 CHECK (rate_limit >= 0); -- a second; 0: none of its own
