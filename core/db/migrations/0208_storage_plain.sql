-- requires: plain
-- The same views as on TimescaleDB: rows that our job has added up, and the newest reports added up on the spot.

CREATE TABLE telemetry_rollup_mark (
    grain    text PRIMARY KEY CHECK (grain IN ('hour', 'day')),
    noting   timestamptz NOT NULL DEFAULT '-infinity',
    until    timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON COLUMN telemetry_rollup_mark.until IS
    'Up to where the kept rows reach; after it the views add up reports themselves.';
COMMENT ON COLUMN telemetry_rollup_mark.noting IS
    'Reports before it are noted when they change; raised before the job adds them up for the first time.';
INSERT INTO telemetry_rollup_mark (grain) VALUES ('hour'), ('day');

CREATE TABLE telemetry_rollup_note (
    note_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id  text NOT NULL,
    hour       timestamptz NOT NULL
);
COMMENT ON TABLE telemetry_rollup_note IS 'Hours before the mark whose reports changed; the job adds them up again.';

CREATE TABLE telemetry_hourly_kept (
    bucket         timestamptz NOT NULL,
    device_id      text NOT NULL,
    vehicle_id     text,
    reports        bigint NOT NULL,
    fixes          bigint NOT NULL,
    distance_m     double precision NOT NULL,
    moving_s       double precision NOT NULL,
    max_speed_kmh  double precision
);
CREATE INDEX telemetry_hourly_kept_device ON telemetry_hourly_kept (device_id, bucket);
CREATE INDEX telemetry_hourly_kept_vehicle ON telemetry_hourly_kept (vehicle_id, bucket);
CREATE INDEX telemetry_hourly_kept_bucket ON telemetry_hourly_kept USING brin (bucket);

CREATE TABLE telemetry_daily_kept (
    bucket         timestamptz NOT NULL,
    device_id      text NOT NULL,
    vehicle_id     text,
    reports        bigint NOT NULL,
    fixes          bigint NOT NULL,
    distance_m     double precision NOT NULL,
    moving_s       double precision NOT NULL,
    max_speed_kmh  double precision
);
CREATE INDEX telemetry_daily_kept_device ON telemetry_daily_kept (device_id, bucket);
CREATE INDEX telemetry_daily_kept_vehicle ON telemetry_daily_kept (vehicle_id, bucket);
CREATE INDEX telemetry_daily_kept_bucket ON telemetry_daily_kept USING brin (bucket);

CREATE FUNCTION telemetry_rollup(width interval, starts timestamptz, ends timestamptz) RETURNS TABLE (
    bucket timestamptz, device_id text, vehicle_id text, reports bigint, fixes bigint, distance_m double precision,
    moving_s double precision, max_speed_kmh double precision
) LANGUAGE sql STABLE AS $$
SELECT date_bin(width, t, '2000-01-01 00:00:00+00'), device_id, vehicle_id,
       count(*) AS reports,
       count(*) FILTER (WHERE fix_valid) AS fixes,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[1], 0) AS distance_m,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[2], 0) AS moving_s,
       max(speed_kmh) FILTER (WHERE fix_valid) AS max_speed_kmh
FROM telemetry WHERE t >= starts AND t < ends GROUP BY 1, 2, 3
$$;

CREATE FUNCTION telemetry_rollup_of_device(width interval, device text, starts timestamptz, ends timestamptz)
RETURNS TABLE (
    bucket timestamptz, device_id text, vehicle_id text, reports bigint, fixes bigint, distance_m double precision,
    moving_s double precision, max_speed_kmh double precision
) LANGUAGE sql STABLE AS $$
SELECT date_bin(width, t, '2000-01-01 00:00:00+00'), device_id, vehicle_id,
       count(*) AS reports,
       count(*) FILTER (WHERE fix_valid) AS fixes,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[1], 0) AS distance_m,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[2], 0) AS moving_s,
       max(speed_kmh) FILTER (WHERE fix_valid) AS max_speed_kmh
FROM telemetry WHERE device_id = device AND t >= starts AND t < ends GROUP BY 1, 2, 3
$$;

CREATE VIEW telemetry_hourly AS
SELECT bucket, device_id, vehicle_id, reports, fixes, distance_m, moving_s, max_speed_kmh
FROM telemetry_hourly_kept
UNION ALL
SELECT r.*
FROM telemetry_rollup_mark, LATERAL telemetry_rollup('1 hour', until, 'infinity') AS r WHERE grain = 'hour';

CREATE VIEW telemetry_daily AS
SELECT bucket, device_id, vehicle_id, reports, fixes, distance_m, moving_s, max_speed_kmh
FROM telemetry_daily_kept
UNION ALL
SELECT r.*
FROM telemetry_rollup_mark, LATERAL telemetry_rollup('1 day', until, 'infinity') AS r WHERE grain = 'day';

-- The shared lock holds the mark still until this transaction ends: the job, which takes it exclusively to
-- move the mark, then sees these rows; whoever comes after it sees the new mark.
CREATE FUNCTION note_rollup() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    mark timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7008, 0);
    SELECT noting INTO mark FROM telemetry_rollup_mark WHERE grain = 'hour';
    INSERT INTO telemetry_rollup_note (device_id, hour)
    SELECT DISTINCT device_id, date_bin('1 hour', t, '2000-01-01 00:00:00+00') FROM changed WHERE t < mark;
    RETURN NULL;
END $$;
CREATE TRIGGER rollup_notes_insert AFTER INSERT ON telemetry REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_rollup();
CREATE TRIGGER rollup_notes_update AFTER UPDATE ON telemetry REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_rollup();
CREATE TRIGGER rollup_notes_delete AFTER DELETE ON telemetry REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_rollup();
