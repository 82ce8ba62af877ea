-- A share of the audience: parts per million of those registered in the range,
-- by arithmetic on the user's id and the seed. 0: all.
SET LOCAL search_path = foliopost;

ALTER TABLE jobs
    ADD COLUMN share_ppm  integer NOT NULL DEFAULT 0 CHECK (share_ppm BETWEEN 0 AND 1000000),
    ADD COLUMN share_seed bigint  NOT NULL DEFAULT 0 CHECK (share_seed >= 0);
