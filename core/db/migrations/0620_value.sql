-- What each pledged vehicle was worth, day by day, and what is owed over it. The valuation room owns these.
-- Estimates, inspections, marks and outcomes are facts: a later opinion is a new row.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows: write a new row', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE inspection (
    inspection_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id          text NOT NULL REFERENCES vehicle,
    inspected_at        timestamptz NOT NULL,
    inspector           text NOT NULL,
    odometer_km         double precision CHECK (odometer_km >= 0),
    condition           double precision CHECK (condition BETWEEN 1 AND 5),
    major_accident      boolean NOT NULL DEFAULT false,
    flood               boolean NOT NULL DEFAULT false,
    fire                boolean NOT NULL DEFAULT false,
    odometer_tampering  boolean NOT NULL DEFAULT false,
    note                text NOT NULL DEFAULT '',
    photos              text[] NOT NULL DEFAULT '{}',
    recorded_by         text NOT NULL,
    recorded_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN inspection.photos IS 'SHA-256 of each photo, as hexadecimal; the files are kept elsewhere.';
CREATE INDEX inspection_vehicle ON inspection (vehicle_id, inspected_at DESC);
CREATE TRIGGER inspection_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON inspection
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A person's word on a value: asked for by a flag, or given unasked. An open row is the question.
CREATE TABLE manual_appraisal (
    appraisal_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id      text NOT NULL REFERENCES vehicle,
    state           text NOT NULL CHECK (state IN ('open', 'closed')),
    asked_because   text[] NOT NULL,
    inspection_id   bigint REFERENCES inspection,
    asked_by        text NOT NULL,
    asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    value_minor     bigint CHECK (value_minor > 0),
    currency        char(3),
    appraiser       text,
    appraised_on    date,
    valid_until     date,
    reason          text,
    recorded_by     text,
    closed_at       timestamptz,
    CHECK ((state = 'closed') = (value_minor IS NOT NULL)),
    CHECK (state = 'open' OR (currency IS NOT NULL AND appraiser IS NOT NULL AND appraised_on IS NOT NULL
           AND valid_until IS NOT NULL AND reason IS NOT NULL AND recorded_by IS NOT NULL
           AND closed_at IS NOT NULL))
);
CREATE UNIQUE INDEX manual_appraisal_open ON manual_appraisal (vehicle_id) WHERE state = 'open';
CREATE INDEX manual_appraisal_vehicle ON manual_appraisal (vehicle_id, appraisal_id);

CREATE TABLE estimate (
    estimate_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id        text NOT NULL REFERENCES vehicle,
    as_of             date NOT NULL,
    cause             text NOT NULL CHECK (cause IN ('nightly', 'asked')),
    status            text NOT NULL CHECK (status IN
                      ('valued', 'stale', 'wide', 'thin', 'needs_manual_appraisal', 'not_valued')),
    cautions          text[] NOT NULL DEFAULT '{}',
    reason            text NOT NULL DEFAULT '',
    model_version     text NOT NULL DEFAULT '',
    currency          char(3) NOT NULL,
    channel           text,
    channel_permille  integer,
    estimate_minor    bigint CHECK (estimate_minor > 0),
    low_minor         bigint,
    high_minor        bigint,
    lending_minor     bigint,
    thickness         double precision,
    segment           text,
    odometer_km       double precision,
    odometer_source   text,
    odometer_at       timestamptz,
    condition         double precision,
    condition_source  text,
    appraisal_id      bigint REFERENCES manual_appraisal,
    appraisal_minor   bigint,
    inputs            jsonb NOT NULL DEFAULT '{}',
    waterfall         jsonb,
    comparables       jsonb,
    recorded_by       text NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN estimate.channel_permille IS
    'Auction level per 1,000 of the level the model was fitted on; 1000: the model speaks of auctions.';
COMMENT ON COLUMN estimate.inputs IS 'What the model was given: with model_version and as_of the same figures come again.';
COMMENT ON COLUMN estimate.waterfall IS 'NULL: not explained when it was written; inputs explain it at any time.';
CREATE INDEX estimate_vehicle ON estimate (vehicle_id, estimate_id DESC);
CREATE UNIQUE INDEX estimate_nightly ON estimate (vehicle_id, as_of, model_version) WHERE cause = 'nightly';
CREATE TRIGGER estimate_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON estimate
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE ltv_mark (
    mark_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    loan_id           text NOT NULL REFERENCES loan,
    vehicle_id        text NOT NULL REFERENCES vehicle,
    estimate_id       bigint REFERENCES estimate,
    as_of             date NOT NULL,
    marked_at         timestamptz NOT NULL,
    currency          char(3) NOT NULL,
    balance_minor     bigint NOT NULL CHECK (balance_minor >= 0),
    owed_minor        bigint NOT NULL CHECK (owed_minor >= balance_minor),
    basis             text NOT NULL CHECK (basis IN ('model', 'manual_appraisal', 'lending_value', 'none')),
    value_minor       bigint,
    smoothed_minor    bigint,
    lending_minor     bigint,
    condition         double precision,
    model_version     text NOT NULL DEFAULT '',
    model_step        double precision,
    rebase            double precision NOT NULL DEFAULT 1,
    ltv               double precision,
    judged_ltv        double precision,
    raised            boolean NOT NULL,
    severity          text CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
    episode_at        timestamptz,
    why               text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN ltv_mark.owed_minor IS 'All live loans on the vehicle together; ltv is this over the smoothed value.';
COMMENT ON COLUMN ltv_mark.rebase IS
    'Steps of new model versions not yet confirmed by the market: judged_ltv = ltv * rebase.';
CREATE INDEX ltv_mark_loan ON ltv_mark (loan_id, mark_id DESC);
CREATE INDEX ltv_mark_vehicle ON ltv_mark (vehicle_id, mark_id DESC);
CREATE TRIGGER ltv_mark_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ltv_mark
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE disposal_outcome (
    lot_id           text NOT NULL,
    days_before      integer NOT NULL CHECK (days_before IN (0, 30, 90)),
    case_id          text NOT NULL,
    vehicle_id       text NOT NULL REFERENCES vehicle,
    hammered_at      timestamptz NOT NULL,
    price_minor      bigint NOT NULL CHECK (price_minor > 0),
    currency         char(3) NOT NULL,
    estimate_id      bigint REFERENCES estimate,
    estimate_minor   bigint,
    as_of            date,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (lot_id, days_before)
);
COMMENT ON TABLE disposal_outcome IS 'Each sale against what was thought 0, 30 and 90 days before; no estimate: none was made then.';
CREATE TRIGGER disposal_outcome_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disposal_outcome
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
