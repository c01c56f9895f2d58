-- Where each vendor cloud was left: what was acknowledged by the broker is not asked for again. Of ingest.

CREATE TABLE vendor_source (
    source           text PRIMARY KEY,
    cursor           text,
    items            bigint NOT NULL DEFAULT 0,
    last_success_at  timestamptz,
    last_attempt_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    failures         integer NOT NULL DEFAULT 0,
    last_code        text NOT NULL DEFAULT '',
    last_error       text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN vendor_source.cursor IS 'Sent with the next pull; moved only after the broker had acknowledged what came.';
