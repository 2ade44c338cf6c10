-- name: add_objective_counts!
-- Add a batch of counts to its minute, once however often it is sent.
WITH fresh AS (
    INSERT INTO objective_writers AS writer (writer_id, batch) VALUES (:writer_id, :batch)
    ON CONFLICT (writer_id) DO UPDATE SET batch = excluded.batch, written_at = now()
    WHERE writer.batch < excluded.batch
    RETURNING writer.batch
)
INSERT INTO objective_counts AS kept (series, starts_at, hourly, total, good, failed, counts)
SELECT
    seen.series,
    -- The server's clock: those of the processes may differ.
    date_trunc('minute', now() - make_interval(secs => :age)),
    false,
    seen.total,
    seen.good,
    seen.failed,
    (:counts::bigint [])[(seen.place - 1) * 28 + 1 : seen.place * 28]
FROM fresh
CROSS JOIN unnest(:series::text [], :totals::bigint [], :good::bigint [], :failed::bigint [])
WITH ORDINALITY AS seen (series, total, good, failed, place)
-- All lock the rows in one order.
ORDER BY seen.series
ON CONFLICT (series, starts_at, hourly) DO UPDATE SET
    total = kept.total + excluded.total,
    good = kept.good + excluded.good,
    failed = kept.failed + excluded.failed,
    counts = add_counts(kept.counts, excluded.counts);

-- name: roll_up_objective_counts$
-- Gather minutes that are older than two days into hours; return how many minutes that were.
WITH old AS (
    DELETE FROM objective_counts
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM objective_counts
        WHERE starts_at < date_trunc('hour', now(), 'UTC') - interval '2 days' AND NOT hourly
        ORDER BY starts_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING
        series, date_trunc('hour', starts_at, 'UTC') AS starts_at, total, good, failed, counts
),
steps AS (
    SELECT old.series, old.starts_at, step.place, sum(step.counted)::bigint AS counted
    FROM old CROSS JOIN unnest(old.counts) WITH ORDINALITY AS step (counted, place)
    GROUP BY old.series, old.starts_at, step.place
),
histograms AS (
    SELECT series, starts_at, array_agg(counted ORDER BY place) AS counts
    FROM steps GROUP BY series, starts_at
),
sums AS (
    SELECT series, starts_at, sum(total) AS total, sum(good) AS good, sum(failed) AS failed
    FROM old GROUP BY series, starts_at
),
gathered AS (
    INSERT INTO objective_counts AS kept (series, starts_at, hourly, total, good, failed, counts)
    SELECT series, starts_at, true, total, good, failed, counts
    FROM sums INNER JOIN histograms USING (series, starts_at)
    ORDER BY series, starts_at
    ON CONFLICT (series, starts_at, hourly) DO UPDATE SET
        total = kept.total + excluded.total,
        good = kept.good + excluded.good,
        failed = kept.failed + excluded.failed,
        counts = add_counts(kept.counts, excluded.counts)
    RETURNING 1
)
SELECT count(*) FROM old;

-- name: prune_objective_counts$
-- Forget counts that no window reaches, and processes that are gone; return how many counts.
WITH gone AS (
    DELETE FROM objective_counts
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM objective_counts
        WHERE starts_at < now() - make_interval(days => :days, hours => 1)
        ORDER BY starts_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
),
silent AS (
    DELETE FROM objective_writers
    WHERE writer_id = ANY(ARRAY(
        SELECT writer_id FROM objective_writers
        WHERE written_at < now() - interval '7 days'
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
)
SELECT count(*) FROM gone;

-- name: objective_totals
-- What each series saw in its window, and in the last minutes, hours and days.
SELECT
    wanted.series,
    seen.total,
    seen.good,
    seen.failed,
    seen.counts,
    seen.totals,
    seen.goods
FROM unnest(:series::text [], :days::int []) AS wanted (series, days)
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(total), 0)::bigint AS total,
        coalesce(sum(good), 0)::bigint AS good,
        coalesce(sum(failed), 0)::bigint AS failed,
        ARRAY[
            sum(counts[1]), sum(counts[2]), sum(counts[3]), sum(counts[4]), sum(counts[5]),
            sum(counts[6]), sum(counts[7]), sum(counts[8]), sum(counts[9]), sum(counts[10]),
            sum(counts[11]), sum(counts[12]), sum(counts[13]), sum(counts[14]), sum(counts[15]),
            sum(counts[16]), sum(counts[17]), sum(counts[18]), sum(counts[19]), sum(counts[20]),
            sum(counts[21]), sum(counts[22]), sum(counts[23]), sum(counts[24]), sum(counts[25]),
            sum(counts[26]), sum(counts[27]), sum(counts[28])
        ]::bigint [] AS counts,
        ARRAY[
            sum(total) FILTER (WHERE starts_at > now() - interval '5 minutes'),
            sum(total) FILTER (WHERE starts_at > now() - interval '30 minutes'),
            sum(total) FILTER (WHERE starts_at > now() - interval '1 hour'),
            sum(total) FILTER (WHERE starts_at > now() - interval '6 hours'),
            sum(total) FILTER (WHERE starts_at > now() - interval '3 days')
        ]::bigint [] AS totals,
        ARRAY[
            sum(good) FILTER (WHERE starts_at > now() - interval '5 minutes'),
            sum(good) FILTER (WHERE starts_at > now() - interval '30 minutes'),
            sum(good) FILTER (WHERE starts_at > now() - interval '1 hour'),
            sum(good) FILTER (WHERE starts_at > now() - interval '6 hours'),
            sum(good) FILTER (WHERE starts_at > now() - interval '3 days')
        ]::bigint [] AS goods
    FROM objective_counts
    WHERE
        objective_counts.series = wanted.series
        AND starts_at > now() - make_interval(days => wanted.days)
) AS seen;
