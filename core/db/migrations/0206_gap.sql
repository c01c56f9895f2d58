-- Which reports of a device never came: seq counts up within a boot, so what is missing between the
-- lowest and the highest number received is a gap. core/telemetry/gaps owns these four.

CREATE TABLE telemetry_arrival (
    arrival_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id   text[] NOT NULL,
    boot_id     bigint[] NOT NULL,
    seq         bigint[] NOT NULL,
    t           timestamptz[] NOT NULL
);
-- Read once within a minute or so and deleted: packing it would cost more than the bytes.
ALTER TABLE telemetry_arrival
    ALTER COLUMN device_id SET STORAGE EXTERNAL, ALTER COLUMN boot_id SET STORAGE EXTERNAL,
    ALTER COLUMN seq SET STORAGE EXTERNAL, ALTER COLUMN t SET STORAGE EXTERNAL;
COMMENT ON TABLE telemetry_arrival IS
    'A queue: what each batch brought that is new, one row per batch. The gap reader deletes what it has taken.';

CREATE TABLE device_sequence (
    device_id      text NOT NULL,
    boot_id        bigint NOT NULL,
    low            bigint NOT NULL,
    low_t          timestamptz NOT NULL,
    high           bigint NOT NULL,
    high_t         timestamptz NOT NULL,
    disordered_at  timestamptz,
    PRIMARY KEY (device_id, boot_id),
    CHECK (low <= high)
) WITH (fillfactor = 50);
COMMENT ON COLUMN device_sequence.disordered_at IS
    'Its numbers jump about so much that they are no sequence; gaps of this boot are not kept.';

CREATE TABLE telemetry_gap (
    gap_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id   text NOT NULL,
    boot_id     bigint NOT NULL,
    from_seq    bigint NOT NULL,
    to_seq      bigint NOT NULL,
    missing     bigint NOT NULL,
    after_t     timestamptz NOT NULL,
    before_t    timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    overdue_at  timestamptz,
    closed_at   timestamptz,
    CHECK (from_seq <= to_seq),
    CHECK (missing = CASE WHEN closed_at IS NULL THEN to_seq - from_seq + 1 ELSE 0 END)
);
COMMENT ON TABLE telemetry_gap IS
    'Open rows are the maximal stretches of missing numbers; a closed row is what was filled last.';
COMMENT ON COLUMN telemetry_gap.after_t IS 'Event time of the report before the gap; before_t: of the one after it.';
COMMENT ON COLUMN telemetry_gap.opened_at IS 'Telemetry time at which the gap was noticed; closed_at: at which it was filled.';
COMMENT ON COLUMN telemetry_gap.overdue_at IS 'When it had outlived the buffer of the device and was told as DATA_GAP.';
CREATE UNIQUE INDEX telemetry_gap_open ON telemetry_gap (device_id, boot_id, from_seq) WHERE closed_at IS NULL;
CREATE INDEX telemetry_gap_waiting ON telemetry_gap (greatest(after_t, before_t))
    WHERE closed_at IS NULL AND overdue_at IS NULL;
CREATE INDEX telemetry_gap_device ON telemetry_gap (device_id, gap_id);

CREATE TABLE gap_episode (
    device_id   text PRIMARY KEY,
    vehicle_id  text,
    raised_at   timestamptz NOT NULL
);
COMMENT ON TABLE gap_episode IS 'Devices with a DATA_GAP raised and not yet cleared, and for which vehicle. The geofence room owns it.';
