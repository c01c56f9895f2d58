-- What was asked of devices, by whom and what for, and what became of it. The collateral room owns this.
-- All times are database time, except heard_at, which is when the device was last heard, by telemetry time.

CREATE TABLE device_command (
    command_id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number        bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    device_id     text NOT NULL REFERENCES device,
    vehicle_id    text REFERENCES vehicle,
    kind          text NOT NULL CHECK (kind IN ('locate', 'track', 'interval', 'reboot')),
    params        jsonb NOT NULL DEFAULT '{}',
    purpose       text NOT NULL,
    requested_by  text NOT NULL,
    requested_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL,
    state         text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sent', 'received', 'done', 'refused', 'expired', 'cancelled')),
    heard_at      timestamptz,
    tries         integer NOT NULL DEFAULT 0,
    tried_at      timestamptz,
    sent_at       timestamptz,
    received_at   timestamptz,
    ended_at      timestamptz,
    ended_by      text,
    detail        text NOT NULL DEFAULT '',
    CHECK (expires_at > requested_at),
    CHECK ((ended_at IS NULL) = (state IN ('queued', 'sent', 'received')))
) WITH (fillfactor = 80);
COMMENT ON COLUMN device_command.heard_at IS
    'When the device was last heard as this was queued or tried: a later word means that it is awake.';
CREATE INDEX device_command_open ON device_command (device_id) WHERE state IN ('queued', 'sent', 'received');
CREATE INDEX device_command_device ON device_command (device_id, number);
CREATE INDEX device_command_vehicle ON device_command (vehicle_id, number);
