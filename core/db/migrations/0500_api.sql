-- What the door remembers: who looked where, which commands were done, who failed to sign in.
-- The api room owns these.

CREATE TABLE view_log (
    view_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text NOT NULL,
    purpose      text NOT NULL,
    resource     text NOT NULL,
    vehicle_ids  text[] NOT NULL DEFAULT '{}',
    org_ids      text[] NOT NULL DEFAULT '{}',
    range_from   timestamptz,
    range_to     timestamptz,
    ip           text NOT NULL
);
COMMENT ON TABLE view_log IS
    'Every read of a location. vehicle_ids: those shown; org_ids: a live view of whole branches, all their vehicles.';
CREATE INDEX view_log_vehicle ON view_log USING gin (vehicle_ids);
CREATE INDEX view_log_at ON view_log (at);

CREATE TABLE idempotency_key (
    actor        text NOT NULL,
    key          text NOT NULL,
    operation    text NOT NULL,
    fingerprint  bytea NOT NULL,
    response     jsonb,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);

CREATE TABLE sign_in_failure (
    failure_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    username     text NOT NULL,
    ip           text NOT NULL
);
COMMENT ON TABLE sign_in_failure IS 'Read by the brake on password guessing; rows older than a day are deleted.';
CREATE INDEX sign_in_failure_at ON sign_in_failure (at);
