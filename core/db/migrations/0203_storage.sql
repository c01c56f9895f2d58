-- Keeping reports for long: how far a device drove, holds, what was erased. core/telemetry/storage owns these.
-- What differs between the two stores is in 0207 (TimescaleDB) and 0208 (plain PostgreSQL).

-- One leg after another, in the order of time. The state: metres, seconds under way, and the last fix
-- (epoch, lat, lon, speed). A leg counts when the vehicle moved: by the speeds the device gives for both
-- ends, else by the leg itself; otherwise the jitter of a parked receiver would add up to kilometres a day.
CREATE FUNCTION drive_step(
    s double precision[], t timestamptz, lat double precision, lon double precision, speed_kmh double precision
) RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    epoch constant double precision := date_part('epoch', t);
    seconds double precision;
    north double precision;
    east double precision;
    metres double precision;
    kmh double precision;
BEGIN
    IF s[3] IS NULL OR epoch <= s[3] THEN
        RETURN ARRAY[s[1], s[2], epoch, lat, lon, speed_kmh];
    END IF;
    seconds := epoch - s[3];
    north := lat - s[4];
    east := lon - s[5];
    IF abs(east) > 180.0 THEN
        east := east - sign(east) * 360.0;
    END IF;
    east := east * cosd((lat + s[4]) / 2.0);
    metres := 111194.92664455873 * sqrt(north * north + east * east);
    kmh := metres / seconds * 3.6;
    IF kmh > 300.0 THEN
        -- No vehicle does that: one of the two fixes is wrong, and the next leg will tell.
        RETURN ARRAY[s[1], s[2], epoch, lat, lon, speed_kmh];
    END IF;
    IF seconds > 600.0 THEN
        -- Not heard of for so long, how it went is not known: the straight line is the least it drove.
        RETURN ARRAY[s[1] + CASE WHEN metres >= 200.0 THEN metres ELSE 0.0 END, s[2], epoch, lat, lon, speed_kmh];
    END IF;
    IF (CASE WHEN speed_kmh IS NULL OR s[6] IS NULL THEN kmh >= 5.0 AND metres >= 30.0
             ELSE greatest(speed_kmh, s[6]) >= 5.0 END) THEN
        RETURN ARRAY[s[1] + metres, s[2] + seconds, epoch, lat, lon, speed_kmh];
    END IF;
    RETURN ARRAY[s[1], s[2], epoch, lat, lon, speed_kmh];
END $$;

CREATE AGGREGATE drive_path(timestamptz, double precision, double precision, double precision) (
    SFUNC = drive_step, STYPE = double precision[], INITCOND = '{0,0,NULL,NULL,NULL,NULL}', PARALLEL = SAFE
);
COMMENT ON AGGREGATE drive_path(timestamptz, double precision, double precision, double precision) IS
    '(t, lat, lon, speed_kmh ORDER BY t): metres driven and seconds under way, as [1] and [2].';

CREATE TABLE telemetry_hold (
    hold_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id   text NOT NULL CHECK (vehicle_id <> ''),
    held_from    timestamptz NOT NULL DEFAULT '-infinity',
    held_until   timestamptz NOT NULL DEFAULT 'infinity',
    reason       text NOT NULL CHECK (reason <> ''),
    placed_by    text NOT NULL CHECK (placed_by <> ''),
    placed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at  timestamptz,
    released_by  text,
    CHECK (held_from < held_until),
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
COMMENT ON TABLE telemetry_hold IS
    'Reports of a vehicle, event times [held_from, held_until), that outlive retention and cannot be erased.';
CREATE INDEX telemetry_hold_active ON telemetry_hold (vehicle_id) WHERE released_at IS NULL;

CREATE TABLE telemetry_held (LIKE telemetry);
ALTER TABLE telemetry_held ADD PRIMARY KEY (device_id, t, boot_id, seq);
CREATE INDEX telemetry_held_vehicle ON telemetry_held (vehicle_id, t);
COMMENT ON TABLE telemetry_held IS 'Reports under a hold whose day has been dropped; they go when the hold is released.';

CREATE TABLE telemetry_erasure (
    erasure_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subject      text NOT NULL CHECK (subject IN ('device', 'vehicle')),
    subject_id   text NOT NULL,
    erased_from  timestamptz NOT NULL,
    erased_until timestamptz NOT NULL,
    reason       text NOT NULL CHECK (reason <> ''),
    erased_by    text NOT NULL CHECK (erased_by <> ''),
    erased_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    counts       jsonb NOT NULL,
    CHECK (erased_from < erased_until)
);
COMMENT ON TABLE telemetry_erasure IS 'Append-only: who had what erased, why, and how many rows of what went.';
CREATE FUNCTION refuse_erasure_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'telemetry_erasure is append-only';
END $$;
CREATE TRIGGER erasure_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON telemetry_erasure
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_erasure_edit();

CREATE TABLE telemetry_columnstore (
    chunk          text PRIMARY KEY,
    starts         timestamptz NOT NULL,
    ends           timestamptz NOT NULL,
    compressed_at  timestamptz NOT NULL,
    late_rows      bigint NOT NULL DEFAULT 0,
    bytes_before   bigint NOT NULL,
    bytes_after    bigint NOT NULL
);
COMMENT ON TABLE telemetry_columnstore IS 'Chunks in the columnstore (TimescaleDB only; empty on plain PostgreSQL).';
COMMENT ON COLUMN telemetry_columnstore.compressed_at IS 'Telemetry time of the newest compression.';
COMMENT ON COLUMN telemetry_columnstore.late_rows IS
    'Reports that were received after the chunk had been compressed, counted when it was compressed again.';
