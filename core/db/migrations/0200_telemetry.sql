-- Reports and what is known of each device now. core/telemetry owns these.
-- Floating point is double precision throughout: the rules must read back what they saw live,
-- or a replay would differ from the first run.

CREATE TABLE telemetry_shape (
    device_id      text NOT NULL,
    t              timestamptz NOT NULL,
    boot_id        bigint NOT NULL,
    seq            bigint NOT NULL,
    vehicle_id     text,
    type           text NOT NULL,
    received_at    timestamptz NOT NULL,
    fix_time       timestamptz,
    device_time    timestamptz,
    fix_valid      boolean NOT NULL,
    lat            double precision,
    lon            double precision,
    speed_kmh      double precision,
    heading_deg    double precision,
    accuracy_m     double precision,
    sat            smallint,
    hdop           double precision,
    fix_source     text,
    ignition       boolean,
    motion         boolean,
    odometer_km    double precision,
    ext_power_v    double precision,
    ext_power_ok   boolean,
    batt_pct       double precision,
    batt_v         double precision,
    rssi_dbm       double precision,
    mode           text,
    next_report_s  integer,
    buffered       boolean NOT NULL,
    alarms         text[] NOT NULL,
    sha256         bytea NOT NULL,
    ext            jsonb,
    PRIMARY KEY (device_id, t, boot_id, seq)
);
CREATE INDEX telemetry_shape_vehicle ON telemetry_shape (vehicle_id, t);

CREATE TABLE telemetry_undated (LIKE telemetry_shape INCLUDING ALL);
ALTER TABLE telemetry_undated DROP CONSTRAINT telemetry_undated_pkey;
ALTER TABLE telemetry_undated ADD COLUMN reason text NOT NULL, ADD PRIMARY KEY (device_id, boot_id, seq);
COMMENT ON TABLE telemetry_undated IS
    'Reports without a plausible time; t is received_at. Their alarm bits were judged at that time.';

CREATE TABLE latest_position (
    device_id    text PRIMARY KEY,
    vehicle_id   text,
    t            timestamptz NOT NULL,
    boot_id      bigint NOT NULL,
    seq          bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    lat          double precision NOT NULL,
    lon          double precision NOT NULL,
    speed_kmh    double precision,
    heading_deg  double precision,
    accuracy_m   double precision,
    ignition     boolean,
    odometer_km  double precision
) WITH (fillfactor = 70);
CREATE INDEX latest_position_vehicle ON latest_position (vehicle_id);

CREATE TABLE device_status (
    device_id      text PRIMARY KEY,
    last_t         timestamptz,
    last_received  timestamptz,
    online         boolean,
    online_at      timestamptz,
    boot_id        bigint,
    seq            bigint,
    ext_power_v    double precision,
    batt_pct       double precision,
    rssi_dbm       double precision,
    mode           text,
    next_report_s  integer
) WITH (fillfactor = 70);

CREATE TABLE time_watermark (
    slot             smallint PRIMARY KEY,
    received_until   timestamptz NOT NULL,
    probe_sent_at    timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE time_watermark IS
    'Telemetry time up to which everything the broker accepted for the slot is stored; silence is judged only up to it.';
