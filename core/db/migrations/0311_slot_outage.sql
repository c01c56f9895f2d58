-- When a slot could hear nobody, in telemetry time: its probe was away for more than a minute of the
-- machine's time. Silence inside such a stretch is ours, not a device's (architecture, decision 8).
CREATE TABLE slot_outage (
    slot           smallint NOT NULL,
    deaf_from      timestamptz NOT NULL,
    deaf_until     timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (slot, deaf_from),
    CHECK (deaf_from < deaf_until)
);

CREATE FUNCTION note_slot_outage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO slot_outage (slot, deaf_from, deaf_until)
    VALUES (OLD.slot, OLD.received_until, NEW.received_until)
    ON CONFLICT (slot, deaf_from) DO UPDATE SET deaf_until = greatest(slot_outage.deaf_until, EXCLUDED.deaf_until);
    RETURN NULL;
END $$;
CREATE TRIGGER watermark_notes_outage AFTER UPDATE ON time_watermark FOR EACH ROW
    WHEN (NEW.probe_sent_at - OLD.probe_sent_at > interval '60 seconds' AND NEW.received_until > OLD.received_until)
    EXECUTE FUNCTION note_slot_outage();
