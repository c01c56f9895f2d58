-- What is pledged: branches, people, vehicles, loans, devices. The collateral room owns these.

CREATE TABLE org_unit (
    org_id     text PRIMARY KEY,
    parent_id  text REFERENCES org_unit,
    name       text NOT NULL
);
INSERT INTO org_unit (org_id, name) VALUES ('head', '总部');

CREATE TABLE party (
    party_id   text PRIMARY KEY,
    kind       text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'company')),
    alias      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE party IS 'A pledgor or borrower under a pseudonym; names and numbers are encrypted contacts.';

CREATE TABLE vehicle (
    vehicle_id          text PRIMARY KEY,
    vin                 text UNIQUE,
    plate               text,
    engine_number       text,
    make                text,
    model               text,
    model_year          integer,
    colour              text,
    first_registration  date,
    use_character       text,
    emission_stage      text,
    custody             text NOT NULL DEFAULT 'pledgor'
                        CHECK (custody IN ('pledgor', 'lender_yard', 'recovered', 'released')),
    org_id              text NOT NULL DEFAULT 'head' REFERENCES org_unit,
    pledgor_id          text REFERENCES party,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    version             integer NOT NULL DEFAULT 1
);
CREATE INDEX vehicle_org ON vehicle (org_id);
CREATE INDEX vehicle_plate ON vehicle (plate);

CREATE TABLE loan (
    loan_id          text PRIMARY KEY,
    vehicle_id       text NOT NULL REFERENCES vehicle,
    borrower_id      text REFERENCES party,
    pledgor_id       text REFERENCES party,
    collateral_form  text NOT NULL DEFAULT 'mortgage'
                     CHECK (collateral_form IN ('mortgage', 'pledge', 'lease_back', 'direct_lease')),
    currency         char(3) NOT NULL DEFAULT 'CNY',
    principal_minor  bigint NOT NULL CHECK (principal_minor >= 0),
    balance_minor    bigint NOT NULL CHECK (balance_minor >= 0),
    days_past_due    integer NOT NULL DEFAULT 0 CHECK (days_past_due >= 0),
    next_due_on      date,
    status           text NOT NULL DEFAULT 'active'
                     CHECK (status IN ('active', 'overdue', 'extended', 'disputed', 'paid', 'written_off')),
    snapshot_at      timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    version          integer NOT NULL DEFAULT 1
);
CREATE INDEX loan_vehicle ON loan (vehicle_id);

CREATE TABLE device (
    device_id      text PRIMARY KEY CHECK (device_id ~ '^[A-Za-z0-9_-]{1,32}$'),
    shard          smallint NOT NULL CHECK (shard BETWEEN 0 AND 63),
    password_hash  text,
    power          text NOT NULL DEFAULT 'wired' CHECK (power IN ('wired', 'wireless')),
    model          text,
    sim_iccid      text,
    moving_s       integer NOT NULL DEFAULT 30 CHECK (moving_s > 0),
    parked_s       integer NOT NULL DEFAULT 300 CHECK (parked_s > 0),
    sleep_s        integer NOT NULL DEFAULT 3600 CHECK (sleep_s > 0),
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE device_binding (
    binding_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id      text NOT NULL REFERENCES device,
    vehicle_id     text NOT NULL REFERENCES vehicle,
    valid_from     timestamptz NOT NULL DEFAULT '-infinity',
    valid_to       timestamptz NOT NULL DEFAULT 'infinity',
    installed_at   timestamptz,
    CHECK (valid_from < valid_to)
);
COMMENT ON TABLE device_binding IS 'Which device was in which vehicle over which telemetry time [valid_from, valid_to).';
CREATE INDEX device_binding_vehicle ON device_binding (vehicle_id);
CREATE INDEX device_binding_device ON device_binding (device_id, valid_from);
CREATE UNIQUE INDEX device_binding_open ON device_binding (device_id) WHERE valid_to = 'infinity';

CREATE TRIGGER device_bumps AFTER INSERT OR UPDATE OR DELETE ON device
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('bindings');
CREATE TRIGGER binding_bumps AFTER INSERT OR UPDATE OR DELETE ON device_binding
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('bindings');
CREATE TRIGGER vehicle_bumps AFTER INSERT OR UPDATE OR DELETE ON vehicle
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('facts');
CREATE TRIGGER loan_bumps AFTER INSERT OR UPDATE OF collateral_form, vehicle_id OR DELETE ON loan
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('facts');
