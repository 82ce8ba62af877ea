-- What is still to do in the jobs in progress, by stage: for autoscalers, which
-- get a role that reads this and nothing else, and for the leader's metrics.
-- It touches open intervals, open batches and due deliveries, by their partial
-- indexes: what is done costs nothing.
SET LOCAL search_path = foliopost;

CREATE VIEW backlog AS
WITH going AS (SELECT id, user_ids, started_at FROM jobs WHERE state = 'IN_PROGRESS'),
unread AS (
    -- How many users registered in a month nobody knows before they are read. Ten
    -- thousand are enough to ask for every replica there may be, and few enough
    -- for the end of a job.
    SELECT coalesce(cardinality(j.user_ids),
                    10000 * extract(epoch FROM i.upper_at - greatest(i.cursor_at, i.lower_at))
                          / nullif(extract(epoch FROM i.upper_at - i.lower_at), 0), 0) AS users,
           coalesce(i.started_at, j.started_at) AS since
      FROM going j JOIN intervals i ON i.job_id = j.id AND i.state <> 'paged'
), open AS (
    SELECT b.state, cardinality(b.user_ids) AS users,
           CASE b.state WHEN 'queued' THEN b.first_emitted_at ELSE b.claimed_at END AS since
      FROM going j JOIN batches b ON b.job_id = j.id AND b.state IN ('queued', 'sending')
), due AS (
    SELECT d.due_at AS since
      FROM going j JOIN deliveries d ON d.job_id = j.id AND d.state = 'deferred' AND d.due_at <= clock_timestamp()
)
SELECT stage, users::bigint, greatest(0, coalesce(extract(epoch FROM clock_timestamp() - since), 0))::float8 AS age_s
  FROM (SELECT 'unread' AS stage, coalesce(ceil(sum(users)), 0) AS users, min(since) AS since FROM unread
        UNION ALL
        SELECT 'queued', coalesce(sum(users), 0), min(since) FROM open WHERE state = 'queued'
        UNION ALL
        SELECT 'sending', coalesce(sum(users), 0), min(since) FROM open WHERE state = 'sending'
        UNION ALL
        SELECT 'deferred', count(*), min(since) FROM due) s;
