-- What the replayer needs to run beside ingest, and numbers that a deployment sets for itself.

-- A lease instead of a held lock, so that ingest never waits for a long replay. `requested_at` moves with
-- every extension: a replay that ran meanwhile sees that there is a newer wish, and leaves it.
ALTER TABLE replay_request
    ADD COLUMN leased_until timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN last_error text;
CREATE INDEX replay_request_queue ON replay_request (leased_until, requested_at);

CREATE INDEX finding_detected ON finding (vehicle_id, detected_time);

CREATE TABLE threshold_set (
    version        text PRIMARY KEY,
    numbers        jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by     text
);
COMMENT ON TABLE threshold_set IS
    'Numbers that differ from the built-in thresholds, by group; the newest set is in force.';
CREATE TRIGGER threshold_bumps AFTER INSERT OR UPDATE OR DELETE ON threshold_set
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('thresholds');
