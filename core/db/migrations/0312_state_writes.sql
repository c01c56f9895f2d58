-- A state is written every few minutes of event time; in between only its version moves. See 0204.
ALTER TABLE vehicle_state SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE deadline SET (fillfactor = 70);
COMMENT ON COLUMN vehicle_state.state IS
    'May lack the last minutes: whoever reads it judges the inputs stored since (geofence/catching_up.py).';
COMMENT ON COLUMN vehicle_state.through IS
    'Event time of the newest input that the vehicle''s rules have seen; older ones are late.';
