-- Which templates a mail was written with, and what it said: enough to tell
-- whether a mail that somebody shows is the one that was sent.
SET LOCAL search_path = foliopost;

ALTER TABLE deliveries
    ADD COLUMN template_version bytea, -- the first 4 bytes of the templates' SHA-256 (jobs.template_hash); null: no mail
    ADD COLUMN content_hash     bytea; -- the first 16 bytes of the SHA-256 of subject, line end and text part
