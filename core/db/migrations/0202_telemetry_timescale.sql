-- requires: timescaledb
CREATE TABLE telemetry (LIKE telemetry_shape INCLUDING ALL);
SELECT create_hypertable('telemetry', by_range('t', INTERVAL '1 day'), create_default_indexes => false);
DROP TABLE telemetry_shape;
