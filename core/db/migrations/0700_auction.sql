-- Disposal: cases, lots, registrations, bids, the chained event log. The auction room owns these.
-- Money is minor units. All times are database time. A relist is a new round and a new lot.

CREATE TABLE disposal_case (
    case_id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    recovery_case_id uuid UNIQUE REFERENCES case_file,
    vehicle_id       text NOT NULL REFERENCES vehicle,
    loan_id          text REFERENCES loan,
    org_id           text NOT NULL REFERENCES org_unit,
    state            text NOT NULL DEFAULT 'open'
                     CHECK (state IN ('open', 'selling', 'sold', 'redeemed', 'closed', 'reversed')),
    pack             text NOT NULL,
    pack_version     integer NOT NULL,
    basis_kind       text CHECK (basis_kind IN ('agreement_after_default', 'contractual_self_sale',
                                                'court_ruling', 'judgment', 'lease_recovery')),
    basis_reference  text,
    basis_dated      date,
    basis_by         text,
    opened_by        text NOT NULL,
    opened_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    repossessed_at   timestamptz,
    valued_at        timestamptz,
    published_at     timestamptz,
    hammer_at        timestamptz,
    paid_at          timestamptz,
    transferred_at   timestamptz,
    closed_at        timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    version          integer NOT NULL DEFAULT 1,
    CHECK ((basis_kind IS NULL) = (basis_reference IS NULL))
);
COMMENT ON COLUMN disposal_case.basis_kind IS 'Nothing is published without one (architecture, section 4).';
CREATE UNIQUE INDEX disposal_case_live ON disposal_case (vehicle_id)
    WHERE state IN ('open', 'selling', 'sold');
CREATE INDEX disposal_case_org ON disposal_case (org_id, number DESC);

CREATE TABLE appraisal (
    appraisal_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    case_id          uuid NOT NULL REFERENCES disposal_case,
    value_minor      bigint NOT NULL CHECK (value_minor > 0),
    low_minor        bigint CHECK (low_minor > 0),
    high_minor       bigint,
    currency         char(3) NOT NULL,
    method           text NOT NULL CHECK (method IN ('model', 'manual')),
    estimate_id      bigint,
    appraiser        text NOT NULL,
    reference        text NOT NULL DEFAULT '',
    valued_on        date NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE appraisal IS 'Append-only; the newest row of a case counts.';
CREATE INDEX appraisal_case ON appraisal (case_id, recorded_at DESC);

CREATE TABLE bidder (
    bidder_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor            text NOT NULL UNIQUE,
    display_name     text NOT NULL,
    kyc_state        text NOT NULL DEFAULT 'pending' CHECK (kyc_state IN ('pending', 'verified', 'refused')),
    kyc_reference    text,
    kyc_by           text,
    kyc_at           timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE excluded_party (
    exclusion_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bidder_id        bigint NOT NULL REFERENCES bidder,
    case_id          uuid REFERENCES disposal_case,
    reason           text NOT NULL CHECK (reason IN ('staff', 'relative', 'appraiser', 'transporter', 'lender',
                                                     'borrower', 'defaulted_buyer', 'sanctioned', 'other')),
    note             text NOT NULL DEFAULT '',
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_at        timestamptz
);
COMMENT ON COLUMN excluded_party.case_id IS 'NULL: excluded from every sale.';
CREATE INDEX excluded_party_bidder ON excluded_party (bidder_id) WHERE lifted_at IS NULL;

CREATE TABLE lot (
    lot_id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    case_id          uuid NOT NULL REFERENCES disposal_case,
    round_no         integer NOT NULL DEFAULT 1 CHECK (round_no BETWEEN 1 AND 9),
    attempt          integer NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    type             text NOT NULL DEFAULT 'english' CHECK (type IN ('english')),
    org_id           text NOT NULL REFERENCES org_unit,
    vehicle_id       text NOT NULL REFERENCES vehicle,
    pack             text NOT NULL,
    pack_version     integer NOT NULL,
    title            text NOT NULL,
    description      text NOT NULL DEFAULT '',
    defects          text NOT NULL DEFAULT '',
    state            text NOT NULL DEFAULT 'draft'
                     CHECK (state IN ('draft', 'review', 'published', 'open', 'suspended', 'hammered', 'unsold',
                                      'withdrawn', 'paid', 'defaulted', 'transferred', 'handed_over', 'closed')),
    epoch            integer NOT NULL DEFAULT 0,
    seq              bigint NOT NULL DEFAULT 0,
    head_hash        bytea NOT NULL DEFAULT '\x' ,
    currency         char(3) NOT NULL,
    start_minor      bigint NOT NULL CHECK (start_minor > 0),
    reserve_minor    bigint CHECK (reserve_minor >= start_minor),
    deposit_minor    bigint NOT NULL CHECK (deposit_minor >= 0),
    tick_minor       bigint NOT NULL CHECK (tick_minor > 0),
    steps            jsonb NOT NULL,
    high_minor       bigint NOT NULL CHECK (high_minor > 0),
    window_ms        integer NOT NULL CHECK (window_ms >= 0),
    extension_ms     integer NOT NULL CHECK (extension_ms >= 0),
    drain_ms         integer NOT NULL DEFAULT 3000 CHECK (drain_ms BETWEEN 0 AND 60000),
    starts_at        timestamptz NOT NULL,
    ends_at          timestamptz NOT NULL,
    planned_end_at   timestamptz NOT NULL,
    hard_end_at      timestamptz,
    remaining_ms     bigint,
    price_minor      bigint,
    leader_id        uuid,
    leader_max_minor bigint,
    leader_since     timestamptz,
    second_max_minor bigint,
    reserve_met      boolean NOT NULL DEFAULT false,
    extension_count  integer NOT NULL DEFAULT 0,
    bid_count        integer NOT NULL DEFAULT 0,
    next_timer_at    timestamptz,
    timer_kind       text CHECK (timer_kind IN ('start', 'end', 'pay_by')),
    published_at     timestamptz,
    hammered_at      timestamptz,
    min_resume_ms    bigint NOT NULL DEFAULT 1800000 CHECK (min_resume_ms >= 0),
    outage_guard_ms  bigint NOT NULL DEFAULT 1800000 CHECK (outage_guard_ms >= 0),
    outage_grace_ms  bigint NOT NULL DEFAULT 600000 CHECK (outage_grace_ms >= 0),
    outage_id        bigint NOT NULL DEFAULT 0,
    drafted_by       text NOT NULL,
    edited_by        text NOT NULL,
    submitted_by     text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    version          integer NOT NULL DEFAULT 1,
    UNIQUE (case_id, round_no, attempt),
    CHECK (ends_at > starts_at),
    CHECK (ends_at >= planned_end_at),
    CHECK ((next_timer_at IS NULL) = (timer_kind IS NULL)),
    CHECK ((price_minor IS NULL) = (leader_id IS NULL)),
    CHECK (leader_max_minor >= price_minor)
);
COMMENT ON COLUMN lot.steps IS 'Increment table: [{"from_minor": 0, "step_minor": 50000}, ...], ascending, the first from 0.';
COMMENT ON COLUMN lot.high_minor IS 'A maximum above it needs confirm_high (auction.md B1: the 80 -> 87,000,000 incident).';
COMMENT ON COLUMN lot.leader_max_minor IS 'Secret until exhausted: no answer, event, log line or error shows it.';
COMMENT ON COLUMN lot.epoch IS 'Grows with every change of state: the fencing token of timers.';
COMMENT ON COLUMN lot.edited_by IS 'The last to draft or edit it; with submitted_by and drafted_by those who may not publish it.';
COMMENT ON COLUMN lot.outage_id IS 'Outages up to this one have been made up for.';
CREATE INDEX lot_due ON lot (next_timer_at) WHERE next_timer_at IS NOT NULL;
CREATE INDEX lot_case ON lot (case_id);
CREATE INDEX lot_list ON lot (starts_at, lot_id);

CREATE TABLE registration (
    registration_id  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_id           uuid NOT NULL REFERENCES lot,
    bidder_id        bigint NOT NULL REFERENCES bidder,
    code             text NOT NULL,
    state            text NOT NULL DEFAULT 'applied'
                     CHECK (state IN ('applied', 'eligible', 'barred', 'released', 'winner', 'forfeited')),
    terms_version    text NOT NULL,
    terms_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    barred_reason    text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (lot_id, bidder_id),
    UNIQUE (lot_id, code)
);
COMMENT ON COLUMN registration.state IS 'eligible: KYC verified, not excluded, terms accepted, deposit held.';
CREATE INDEX registration_bidder ON registration (bidder_id);
ALTER TABLE lot ADD CONSTRAINT lot_leader FOREIGN KEY (leader_id) REFERENCES registration;

-- The chain: hash = SHA-256(prev_hash || body); body is the event as UTF-8 JSON, stored as it was hashed.
CREATE TABLE lot_event (
    lot_id           uuid NOT NULL REFERENCES lot,
    seq              bigint NOT NULL CHECK (seq > 0),
    kind             text NOT NULL,
    actor_code       text NOT NULL,
    arrived_at       timestamptz NOT NULL,
    decided_at       timestamptz NOT NULL,
    payload          jsonb NOT NULL,
    body             bytea NOT NULL,
    prev_hash        bytea NOT NULL,
    hash             bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (lot_id, seq)
);
COMMENT ON COLUMN lot_event.payload IS 'What everybody may see; the body adds lot, seq, times and actor code to it.';

CREATE TABLE bid (
    bid_id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_id           uuid NOT NULL,
    seq              bigint NOT NULL,
    registration_id  uuid NOT NULL REFERENCES registration,
    max_minor        bigint NOT NULL CHECK (max_minor > 0),
    mode             text NOT NULL CHECK (mode IN ('exact', 'proxy')),
    salt             bytea NOT NULL CHECK (length(salt) = 16),
    commitment       bytea NOT NULL CHECK (length(commitment) = 32),
    arrived_at       timestamptz NOT NULL,
    UNIQUE (lot_id, seq),
    FOREIGN KEY (lot_id, seq) REFERENCES lot_event
);
COMMENT ON COLUMN bid.commitment IS 'SHA-256(salt || max as decimal text); in the event at once, opened in the protocol after the close.';
CREATE INDEX bid_registration ON bid (registration_id);

-- Who of the sale was alive when, and since when nobody was: bidders get back what an outage took.
CREATE TABLE auction_beat (
    role             text PRIMARY KEY CHECK (role IN ('sweeper', 'api')),
    at               timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE auction_outage (
    outage_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at         timestamptz NOT NULL,
    ended_at         timestamptz NOT NULL,
    CHECK (began_at < ended_at)
);
COMMENT ON TABLE auction_outage IS 'Neither the sweeper nor any API gave a sign of life; measured by beats, not by opinion.';

CREATE TABLE approval (
    approval_id      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subject          text NOT NULL CHECK (subject IN ('lot', 'case', 'settlement', 'title_step', 'cost')),
    subject_id       text NOT NULL,
    action           text NOT NULL,
    facts            jsonb NOT NULL DEFAULT '{}',
    org_id           text NOT NULL REFERENCES org_unit,
    asked_by         text NOT NULL,
    asked_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at       timestamptz NOT NULL,
    decision         text CHECK (decision IN ('approved', 'refused')),
    decided_by       text,
    decided_at       timestamptz,
    reason           text NOT NULL DEFAULT '',
    CHECK ((decision IS NULL) = (decided_by IS NULL)),
    CONSTRAINT approval_four_eyes CHECK (decided_by IS NULL OR decision = 'refused' OR decided_by <> asked_by)
);
CREATE UNIQUE INDEX approval_waiting ON approval (subject, subject_id, action) WHERE decision IS NULL;

-- Nobody, not even we, rewrites what bidders saw.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER lot_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lot_event
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER bid_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bid
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER appraisal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON appraisal
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
