-- Whether a job is outside its hours at a time: what was let into the pipeline within
-- them is not sent past their end. Its queued batches are neither claimed nor emitted
-- again, and a record opens no intent of it.
SET LOCAL search_path = foliopost;

-- A zone that PostgreSQL does not know is the leader's alone to judge, as before.
CREATE FUNCTION outside_hours(send_window text, zone text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    here    timestamp;
    now_min integer;
    bound   integer[];
BEGIN
    IF send_window = '' THEN
        RETURN false;
    END IF;
    here := at AT TIME ZONE coalesce(nullif(zone, ''), 'UTC');
    now_min := extract(hour FROM here) * 60 + extract(minute FROM here);
    SELECT array_agg(split_part(t, ':', 1)::integer * 60 + split_part(t, ':', 2)::integer ORDER BY n) INTO bound
        FROM unnest(string_to_array(send_window, '-')) WITH ORDINALITY AS b (t, n);
    IF bound[1] < bound[2] THEN
        RETURN now_min < bound[1] OR now_min >= bound[2];
    END IF;
    RETURN now_min < bound[1] AND now_min >= bound[2];
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END $$;
