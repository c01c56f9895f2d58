-- How to reach people, what was tried, what they agreed to. The collateral room owns these.

CREATE TABLE contact (
    contact_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    party_id     text NOT NULL REFERENCES party,
    kind         text NOT NULL CHECK (kind IN ('phone', 'email', 'address', 'wechat', 'name')),
    label        text NOT NULL DEFAULT '',
    ciphertext   bytea NOT NULL,
    blind_index  bytea NOT NULL,
    third_party  boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    removed_at   timestamptz,
    UNIQUE (party_id, kind, blind_index)
);
COMMENT ON COLUMN contact.ciphertext IS 'Fernet token over party, kind and value: a row copied to another party does not open.';
COMMENT ON COLUMN contact.blind_index IS 'Keyed hash of the normalised value, to find equal values without opening any.';
CREATE INDEX contact_blind_index ON contact (kind, blind_index);

CREATE TABLE contact_reveal (
    reveal_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id   bigint NOT NULL REFERENCES contact,
    actor        text NOT NULL,
    purpose      text NOT NULL,
    case_id      text,
    revealed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE contact_reveal IS 'Append-only: who saw which number, why, when.';
CREATE INDEX contact_reveal_contact ON contact_reveal (contact_id, revealed_at);

CREATE TABLE contact_attempt (
    attempt_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    party_id         text NOT NULL REFERENCES party,
    contact_id       bigint REFERENCES contact,
    vehicle_id       text REFERENCES vehicle,
    case_id          text,
    actor            text NOT NULL,
    channel          text NOT NULL CHECK (channel IN ('call', 'sms', 'wechat', 'email', 'letter', 'visit')),
    purpose          text NOT NULL,
    outcome          text NOT NULL CHECK (outcome IN ('reached', 'promised', 'no_answer', 'busy', 'refused',
                                                      'wrong_number', 'left_message', 'third_party_answered')),
    promise_on       date,
    promise_minor    bigint CHECK (promise_minor > 0),
    promise_currency char(3),
    next_action      text,
    next_action_on   date,
    note             text NOT NULL DEFAULT '',
    override_reason  text,
    attempted_at     timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((promise_minor IS NULL) = (promise_currency IS NULL)),
    CHECK (outcome <> 'promised' OR promise_on IS NOT NULL)
);
COMMENT ON COLUMN contact_attempt.override_reason IS 'Why it was made outside the allowed hours or to a third party.';
CREATE INDEX contact_attempt_party ON contact_attempt (party_id, attempted_at);
CREATE INDEX contact_attempt_vehicle ON contact_attempt (vehicle_id, attempted_at);
CREATE INDEX contact_attempt_case ON contact_attempt (case_id) WHERE case_id IS NOT NULL;

CREATE TABLE consent (
    consent_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    party_id      text NOT NULL REFERENCES party,
    vehicle_id    text NOT NULL REFERENCES vehicle,
    text_version  text NOT NULL,
    text_sha256   bytea NOT NULL CHECK (length(text_sha256) = 32),
    purposes      text[] NOT NULL CHECK (cardinality(purposes) > 0),
    signer        text NOT NULL,
    channel       text NOT NULL CHECK (channel IN ('paper', 'e_signature', 'app', 'counter')),
    given_at      timestamptz NOT NULL,
    revoked_at    timestamptz,
    revoked_how   text,
    recorded_by   text NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (party_id, vehicle_id, text_sha256, given_at),
    CHECK (revoked_at IS NULL OR revoked_at >= given_at)
);
CREATE INDEX consent_vehicle ON consent (vehicle_id);
