-- requires: plain
-- Daily range partitions, made ahead of each batch (core/telemetry/partitions.py); no default partition.
CREATE TABLE telemetry (LIKE telemetry_shape INCLUDING ALL) PARTITION BY RANGE (t);
DROP TABLE telemetry_shape;
