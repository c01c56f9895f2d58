-- requires: timescaledb
-- Columnstore and continuous aggregates; jobs of ours drive both (core/telemetry/storage), on telemetry time.
DO $$
BEGIN
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
        RAISE EXCEPTION 'Expected the community edition of TimescaleDB, was the Apache one: it has neither '
            'columnstore nor continuous aggregates; install the community edition, or take '
            'TimescaleDB out of shared_preload_libraries and begin with an empty database';
    END IF;
    -- A batch of late reports, or the erasure of a device, may open many compressed segments; the default
    -- limit of 100,000 rows would refuse the whole batch, for ever.
    EXECUTE format('ALTER DATABASE %I SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0',
                   current_database());
END $$;

ALTER TABLE telemetry SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'device_id', timescaledb.orderby = 't, boot_id, seq');

CREATE MATERIALIZED VIEW telemetry_hourly WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket('1 hour', t) AS bucket, device_id, vehicle_id,
       count(*) AS reports,
       count(*) FILTER (WHERE fix_valid) AS fixes,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[1], 0) AS distance_m,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[2], 0) AS moving_s,
       max(speed_kmh) FILTER (WHERE fix_valid) AS max_speed_kmh
FROM telemetry GROUP BY 1, 2, 3 WITH NO DATA;

CREATE MATERIALIZED VIEW telemetry_daily WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket('1 day', t) AS bucket, device_id, vehicle_id,
       count(*) AS reports,
       count(*) FILTER (WHERE fix_valid) AS fixes,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[1], 0) AS distance_m,
       coalesce((drive_path(t, lat, lon, speed_kmh ORDER BY t, boot_id, seq) FILTER (WHERE fix_valid
           AND lat IS NOT NULL AND lon IS NOT NULL AND coalesce(accuracy_m, 0) <= 100
           AND coalesce(fix_source, 'gnss') IN ('gnss', 'dr')))[2], 0) AS moving_s,
       max(speed_kmh) FILTER (WHERE fix_valid) AS max_speed_kmh
FROM telemetry GROUP BY 1, 2, 3 WITH NO DATA;
