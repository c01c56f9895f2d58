-- Who shares the slots, for how many slots each session is subscribed, and how each slot fares.

CREATE TABLE ingest_worker (
    owner       text PRIMARY KEY,
    slots       smallint NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON TABLE ingest_worker IS 'The ingest processes there are, so that each can know its share of the slots.';

CREATE TABLE ingest_layout (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    slots      smallint NOT NULL,
    set_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ingest_layout IS 'How many slots there are: the setting of the process that started last.';

ALTER TABLE ingest_slot
    ADD COLUMN layout smallint,
    ADD COLUMN foreign_shards boolean NOT NULL DEFAULT false,
    ADD COLUMN connected boolean NOT NULL DEFAULT false,
    ADD COLUMN lag_s double precision NOT NULL DEFAULT 0,
    ADD COLUMN broker_drops bigint NOT NULL DEFAULT 0,
    ADD COLUMN batches bigint NOT NULL DEFAULT 0,
    ADD COLUMN reports bigint NOT NULL DEFAULT 0,
    ADD COLUMN batch_reports double precision NOT NULL DEFAULT 0,
    ADD COLUMN commit_s double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN ingest_slot.layout IS
    'For how many slots the session is subscribed. A shard is given up only when every slot has the new number.';
COMMENT ON COLUMN ingest_slot.foreign_shards IS 'The session still gets shards that belong to others by now.';
COMMENT ON COLUMN ingest_slot.oldest_unacked_s IS 'The longest that a message waited for its acknowledgement, of the last second.';
COMMENT ON COLUMN ingest_slot.lag_s IS 'From the publishing of the last probe to its commit; growing while one is not back.';
COMMENT ON COLUMN ingest_slot.batch_reports IS 'Reports in a batch, on average over the last second; commit_s: seconds of its transaction.';
