-- Findings are facts: append-only, a correction is a new revision. The alerts room owns the table;
-- geofence (live, replay, sweep) and valuation append through alerts/findings.

CREATE TABLE finding (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    txid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    finding_id     uuid NOT NULL,
    revision       integer NOT NULL DEFAULT 1,
    status         text NOT NULL CHECK (status IN ('added', 'corrected', 'retracted')),
    vehicle_id     text,
    device_id      text,
    rule           text NOT NULL,
    scope          text NOT NULL DEFAULT '',
    event          text NOT NULL,
    event_time     timestamptz NOT NULL,
    detected_time  timestamptz NOT NULL,
    episode_time   timestamptz NOT NULL,
    lat            double precision,
    lon            double precision,
    severity       text CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
    late_by_s      integer NOT NULL DEFAULT 0,
    evidence       jsonb NOT NULL DEFAULT '{}',
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (finding_id, revision)
);
CREATE INDEX finding_order ON finding (txid, seq);
CREATE INDEX finding_vehicle ON finding (vehicle_id, event_time);
CREATE INDEX finding_rule ON finding (rule, event_time);

CREATE VIEW finding_current AS
SELECT * FROM (
    SELECT DISTINCT ON (finding_id) * FROM finding ORDER BY finding_id, revision DESC
) newest
WHERE status <> 'retracted';
COMMENT ON VIEW finding_current IS 'The newest revision of each finding that has not been retracted.';
