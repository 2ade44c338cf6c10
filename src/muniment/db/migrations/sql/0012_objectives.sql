-- Histograms from which objectives are computed: of the whole installation, no organization's.

CREATE TABLE objective_counts (
    series text NOT NULL CHECK (length(series) <= 64),
    starts_at timestamptz NOT NULL,
    hourly boolean NOT NULL,
    total bigint NOT NULL,
    good bigint NOT NULL,
    failed bigint NOT NULL,
    counts bigint [] NOT NULL CHECK (cardinality(counts) = 28),
    PRIMARY KEY (series, starts_at, hourly)
) WITH (
    -- A minute is rewritten four times by each process, on the page it is on.
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500
);
COMMENT ON TABLE objective_counts IS
    'How many requests or jobs an objective saw in a minute, or an hour once the minutes are old: '
    'how many kept it, how many failed, how many took how long. No organization, no person.';
COMMENT ON COLUMN objective_counts.series IS
    'Name of the objective and a digest of what it counts, so that changing it begins anew.';
COMMENT ON COLUMN objective_counts.counts IS
    'By time taken, in the steps of muniment.observability.objectives.histogram.';

CREATE INDEX objective_counts_by_time ON objective_counts (starts_at);

CREATE TABLE objective_writers (
    writer_id uuid NOT NULL PRIMARY KEY,
    batch bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE objective_writers IS
    'The last batch of counts that each process wrote: one whose outcome it did not learn is sent '
    'again and must not be counted twice.';

CREATE FUNCTION add_counts(one bigint [], other bigint []) RETURNS bigint []
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN array(
        SELECT pair.mine + pair.theirs
        FROM unnest(one, other) WITH ORDINALITY AS pair (mine, theirs, place)
        ORDER BY pair.place
    );
COMMENT ON FUNCTION add_counts(bigint [], bigint []) IS 'The sum of two histograms, count by count.';
