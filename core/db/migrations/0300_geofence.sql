-- Fences and the state of the rule engine. The geofence room owns these.

CREATE TABLE fence (
    fence_id       text NOT NULL,
    version        integer NOT NULL,
    name           text NOT NULL,
    category       text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('polygon', 'circle', 'corridor')),
    shape          bytea NOT NULL,
    radius_m       double precision,
    width_m        double precision,
    datum          text NOT NULL CHECK (datum IN ('wgs84', 'gcj02', 'bd09')),
    scope          text NOT NULL DEFAULT 'shared' CHECK (scope IN ('shared', 'vehicle')),
    hysteresis_m   double precision,
    dwell_s        integer,
    valid_from     timestamptz NOT NULL DEFAULT '-infinity',
    valid_to       timestamptz NOT NULL DEFAULT 'infinity',
    properties     jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    created_by     text,
    PRIMARY KEY (fence_id, version)
);
COMMENT ON TABLE fence IS 'Immutable versions; shape is WKB in WGS-84 whatever datum the source had.';

CREATE TABLE fence_assignment (
    fence_id       text NOT NULL,
    vehicle_id     text NOT NULL,
    role           text NOT NULL CHECK (role IN ('region', 'yard', 'watch')),
    PRIMARY KEY (fence_id, vehicle_id, role)
);

CREATE TRIGGER fence_bumps AFTER INSERT OR UPDATE OR DELETE ON fence
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('fences');
CREATE TRIGGER fence_assignment_bumps AFTER INSERT OR UPDATE OR DELETE ON fence_assignment
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('facts');

CREATE TABLE vehicle_state (
    vehicle_id     text PRIMARY KEY,
    state          bytea NOT NULL,
    state_version  bigint NOT NULL DEFAULT 1,
    through        timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 60);
COMMENT ON COLUMN vehicle_state.through IS 'Event time of the newest input in the state; older ones are late.';

CREATE TABLE vehicle_checkpoint (
    vehicle_id     text NOT NULL,
    through        timestamptz NOT NULL,
    state          bytea NOT NULL,
    PRIMARY KEY (vehicle_id, through)
);

CREATE TABLE replay_request (
    vehicle_id     text PRIMARY KEY,
    replay_from    timestamptz NOT NULL,
    reason         text NOT NULL,
    requested_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts       integer NOT NULL DEFAULT 0
);

CREATE TABLE deadline (
    vehicle_id     text NOT NULL,
    device_id      text NOT NULL DEFAULT '',
    kind           text NOT NULL CHECK (kind IN ('silence', 'dwell')),
    since          timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    level          integer NOT NULL DEFAULT 1,
    PRIMARY KEY (vehicle_id, device_id, kind)
);
CREATE INDEX deadline_due ON deadline (due_at);

CREATE TABLE time_mark (
    vehicle_id     text NOT NULL,
    device_id      text NOT NULL DEFAULT '',
    kind           text NOT NULL CHECK (kind IN ('silence', 'dwell')),
    since          timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    level          integer NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (vehicle_id, due_at, device_id, kind, level)
);
COMMENT ON TABLE time_mark IS 'Passed time as an input of the engine, read in event order beside the reports.';
