-- What ingest keeps besides reports: refusals, the ledger, slots and their incidents. The ingest room
-- owns these; telemetry_partition belongs to core/telemetry.

CREATE TABLE telemetry_partition (
    day         date PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE telemetry_partition IS
    'UTC days that telemetry may hold; capped per hour, so that one wrong clock cannot make partitions at will.';

CREATE TABLE quarantine (
    quarantine_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic             text NOT NULL,
    device_id         text,
    reason            text NOT NULL,
    detail            text NOT NULL,
    sqlstate          text,
    payload           bytea NOT NULL,
    sha256            bytea NOT NULL,
    slot              smallint,
    received_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    times             integer NOT NULL DEFAULT 1,
    last_received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    replayed_at       timestamptz,
    UNIQUE (sha256, topic, reason)
);
COMMENT ON TABLE quarantine IS 'Refused reports, each with its own bytes; repeats of one are counted in times.';
CREATE INDEX quarantine_device ON quarantine (device_id, quarantine_id);
CREATE INDEX quarantine_waiting ON quarantine (reason, quarantine_id) WHERE replayed_at IS NULL;

CREATE TABLE dead_letter (
    dead_letter_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic             text NOT NULL,
    device_id         text,
    reason            text NOT NULL,
    detail            text NOT NULL,
    payload           bytea NOT NULL,
    sha256            bytea NOT NULL,
    element_sha256    bytea[] NOT NULL,
    slot              smallint,
    received_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    times             integer NOT NULL DEFAULT 1,
    last_received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (sha256, topic, reason)
);
COMMENT ON COLUMN dead_letter.element_sha256 IS
    'Fingerprints of the reports that can be made out in the payload, for the comparison with a publish log.';

-- One row per committed batch. Everything received is accounted for, or the batch cannot commit.
CREATE TABLE ingest_ledger (
    ledger_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source               text NOT NULL CHECK (source IN ('mqtt', 'replay', 'folded')),
    slot                 smallint,
    epoch                bigint,
    committed_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    n_batches            bigint NOT NULL DEFAULT 1,
    n_messages           bigint NOT NULL,
    n_received           bigint NOT NULL,
    n_inserted           bigint NOT NULL,
    n_duplicate          bigint NOT NULL,
    n_dup_conflict       bigint NOT NULL,
    n_undated            bigint NOT NULL,
    n_undated_duplicate  bigint NOT NULL,
    n_status             bigint NOT NULL,
    n_quarantined        bigint NOT NULL,
    n_dead               bigint NOT NULL,
    without_rules        boolean NOT NULL DEFAULT false,
    CONSTRAINT ledger_adds_up CHECK (
        n_received = n_inserted + n_duplicate + n_dup_conflict + n_undated + n_undated_duplicate
                   + n_status + n_quarantined + n_dead)
);
CREATE INDEX ingest_ledger_time ON ingest_ledger (committed_at);

CREATE TABLE ingest_slot (
    slot              smallint PRIMARY KEY CHECK (slot BETWEEN 0 AND 63),
    epoch             bigint NOT NULL DEFAULT 0,
    owner             text,
    leased_until      timestamptz NOT NULL DEFAULT '-infinity',
    session_made      boolean NOT NULL DEFAULT false,
    connected_at      timestamptz,
    session_present   boolean,
    unclean_ends      integer NOT NULL DEFAULT 0,
    oldest_unacked_s  double precision NOT NULL DEFAULT 0,
    window_used       integer NOT NULL DEFAULT 0,
    connections       bigint NOT NULL DEFAULT 0,
    rejects           bigint NOT NULL DEFAULT 0,
    retries           bigint NOT NULL DEFAULT 0,
    seen_at           timestamptz
) WITH (fillfactor = 50);
COMMENT ON COLUMN ingest_slot.epoch IS 'Raised by every lease; a batch of an older epoch cannot commit.';
COMMENT ON COLUMN ingest_slot.unclean_ends IS 'Owners in a row that ended without release and without a batch through the rules.';

CREATE TABLE ingest_incident (
    incident_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot         smallint,
    kind         text NOT NULL,
    detail       text NOT NULL,
    facts        jsonb NOT NULL DEFAULT '{}',
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ingest_incident_time ON ingest_incident (at);
