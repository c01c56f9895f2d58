-- Prices seen on markets: what came in, what was kept, what was refused and why. The valuation room owns these.
-- Money is minor units of the row's currency.

CREATE FUNCTION market_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows: write a new row', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- One row per file or feed page that was taken in; written in the transaction of its rows, so a file is
-- either here with all of them or not here at all.
CREATE TABLE market_import (
    import_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_sha256     bytea NOT NULL CHECK (octet_length(file_sha256) = 32),
    mapping_sha256  bytea NOT NULL,
    file_name       text NOT NULL,
    mapping_name    text NOT NULL,
    state           text NOT NULL CHECK (state IN ('done', 'nothing_usable')),
    rows_read       bigint NOT NULL CHECK (rows_read >= 0),
    kept            bigint NOT NULL CHECK (kept >= 0),
    duplicate       bigint NOT NULL CHECK (duplicate >= 0),
    quarantined     jsonb NOT NULL DEFAULT '{}',
    imported_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (file_sha256, mapping_sha256)
);
COMMENT ON COLUMN market_import.quarantined IS 'Rows by reason.';
CREATE TRIGGER market_import_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON market_import
    FOR EACH STATEMENT EXECUTE FUNCTION market_refuse_change();

CREATE TABLE market_observation (
    observation_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    import_id           bigint NOT NULL REFERENCES market_import,
    row_number          bigint NOT NULL,
    raw_hash            bigint NOT NULL,
    identity            bigint NOT NULL,
    vin                 text,
    title               text,
    make                text NOT NULL,
    model               text,
    trim                text,
    body                text,
    model_year          integer NOT NULL,
    first_registration  date,
    transmission        text,
    fuel                text,
    odometer_km         double precision CHECK (odometer_km >= 0),
    condition           double precision CHECK (condition BETWEEN 1 AND 5),
    colour              text,
    region              text,
    engine_l            double precision,
    power_hp            double precision,
    economy_mpg         double precision,
    road_tax_minor      bigint,
    cylinders           integer,
    drive               text,
    usage               text,
    defects             integer,
    new_price_minor     bigint,
    guide_price_minor   bigint,
    price_minor         bigint NOT NULL CHECK (price_minor > 0),
    currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    channel             text NOT NULL CHECK (channel IN ('auction', 'retail', 'private', 'trade')),
    observed_at         date NOT NULL,
    source              text,
    reference           text
);
COMMENT ON TABLE market_observation IS 'Append-only.';
COMMENT ON COLUMN market_observation.raw_hash IS 'Fingerprint of the row as it came, before any reading.';
COMMENT ON COLUMN market_observation.identity IS 'Fingerprint of what makes two rows the same vehicle on offer.';
CREATE INDEX market_observation_identity ON market_observation (identity);
CREATE INDEX market_observation_market ON market_observation (currency, channel, observed_at);
CREATE TRIGGER market_observation_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON market_observation
    FOR EACH STATEMENT EXECUTE FUNCTION market_refuse_change();

CREATE TABLE market_quarantine (
    import_id       bigint NOT NULL REFERENCES market_import,
    row_number      bigint NOT NULL,
    reason          text NOT NULL,
    raw             json NOT NULL,
    PRIMARY KEY (import_id, row_number)
);
CREATE INDEX market_quarantine_reason ON market_quarantine (reason, import_id);
CREATE TRIGGER market_quarantine_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON market_quarantine
    FOR EACH STATEMENT EXECUTE FUNCTION market_refuse_change();

-- Where a feed was left: what the server said to send back, and how the last attempt ended.
CREATE TABLE market_source_state (
    source          text PRIMARY KEY,
    etag            text,
    last_modified   text,
    payload_sha256  bytea,
    last_success_at timestamptz,
    last_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    failures        integer NOT NULL DEFAULT 0,
    last_code       text NOT NULL DEFAULT '',
    last_error      text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN market_source_state.failures IS 'Attempts in a row that ended badly.';
