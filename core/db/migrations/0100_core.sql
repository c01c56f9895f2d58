-- Domain events, jobs, the telemetry clock, and versions that caches are checked against.

CREATE TABLE domain_event (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    txid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind       text NOT NULL,
    subject    text NOT NULL,
    payload    jsonb NOT NULL DEFAULT '{}',
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE domain_event IS 'What happened in one room that another reacts to; written in the same transaction.';
CREATE INDEX domain_event_order ON domain_event (txid, seq);

-- One row per consumer of an append-only log. Rows are read in (txid, seq) order below
-- pg_snapshot_xmin, so that a transaction that commits late can never be skipped.
CREATE TABLE log_cursor (
    consumer   text PRIMARY KEY,
    txid       xid8 NOT NULL DEFAULT '0',
    seq        bigint NOT NULL DEFAULT 0
);

CREATE TABLE event_failure (
    consumer   text NOT NULL,
    seq        bigint NOT NULL,
    attempts   integer NOT NULL DEFAULT 1,
    error      text NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, seq)
);

CREATE TABLE job_run (
    name       text NOT NULL,
    slot       timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    outcome    text,
    PRIMARY KEY (name, slot)
);

CREATE TABLE telemetry_clock (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    spec        text NOT NULL,
    anchored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data_seen   timestamptz NOT NULL DEFAULT 'epoch'
);

CREATE TABLE revision (
    name       text PRIMARY KEY,
    version    bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE revision IS 'A number per cached set (bindings, fences, thresholds, facts), bumped by triggers on change.';
INSERT INTO revision (name) VALUES ('bindings'), ('fences'), ('thresholds'), ('facts');

CREATE FUNCTION bump_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE revision SET version = version + 1 WHERE name = TG_ARGV[0];
    RETURN NULL;
END $$;
