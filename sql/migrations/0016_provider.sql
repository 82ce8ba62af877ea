-- The provider that a job's mails go through, as the mailers name it; '': any.
SET LOCAL search_path = foliopost;

ALTER TABLE jobs ADD COLUMN provider text NOT NULL DEFAULT '';
