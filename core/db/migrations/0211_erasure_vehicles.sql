-- Whose findings cannot be disproved any more, because the reports they stood on were erased on request.
ALTER TABLE telemetry_erasure ADD COLUMN vehicles text[] NOT NULL DEFAULT '{}';
CREATE INDEX telemetry_erasure_vehicles ON telemetry_erasure USING gin (vehicles);
