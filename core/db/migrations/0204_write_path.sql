-- Room on the page for the next version of rows that change with every batch: such an update touches no
-- index. One row a device: the room costs little.
ALTER TABLE latest_position SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE device_status SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
