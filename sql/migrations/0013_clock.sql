-- The latest that the database's clock has been, as the leader saw it. While it
-- is ahead of the clock, the clock was set back, and the leader moves along what
-- waits for times that the old clock gave.
SET LOCAL search_path = foliopost;

ALTER TABLE leader ADD COLUMN clock_high timestamptz NOT NULL DEFAULT '-infinity';
