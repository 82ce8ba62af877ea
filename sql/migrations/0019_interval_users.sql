-- How many users an interval has been paged for so far, counted by the statement that
-- moves its cursor: a job's own rate goes by users, and pages are often short.
SET LOCAL search_path = foliopost;

ALTER TABLE intervals ADD COLUMN users bigint NOT NULL DEFAULT 0; -- since this migration
