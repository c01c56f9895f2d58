-- Double-entry books of disposal, holds and what is paid after the hammer. The auction room owns these.

CREATE TABLE ledger_account (
    account_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL CHECK (kind IN ('bank', 'bidder_wallet', 'lot_deposit_held', 'buyer_receivable',
                         'lot_proceeds', 'forfeit_suspense', 'disposal_costs', 'loan_interest', 'loan_principal',
                         'junior_claims', 'pledgor_surplus', 'debtor_shortfall', 'tax_fees', 'refunds_payable')),
    owner            text NOT NULL,
    currency         char(3) NOT NULL,
    UNIQUE (kind, owner, currency)
);
COMMENT ON COLUMN ledger_account.owner IS 'Whose: bidder:7, lot:<uuid>, case:<uuid>, loan:<id>, party:<id>, or house.';

CREATE TABLE ledger_entry (
    entry_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL,
    reference        text NOT NULL UNIQUE,
    case_id          uuid REFERENCES disposal_case,
    lot_id           uuid REFERENCES lot,
    actor            text NOT NULL,
    reverses         bigint UNIQUE REFERENCES ledger_entry,
    at               timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN ledger_entry.reference IS 'Names the event that caused it, so that doing it twice books it once.';

CREATE TABLE ledger_posting (
    posting_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id         bigint NOT NULL REFERENCES ledger_entry,
    account_id       bigint NOT NULL REFERENCES ledger_account,
    amount_minor     bigint NOT NULL CHECK (amount_minor <> 0)
);
COMMENT ON COLUMN ledger_posting.amount_minor IS 'Debit positive, credit negative; an entry adds up to zero per currency.';
CREATE INDEX ledger_posting_entry ON ledger_posting (entry_id);
CREATE INDEX ledger_posting_account ON ledger_posting (account_id);

CREATE TABLE deposit_hold (
    hold_id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    registration_id  uuid NOT NULL UNIQUE REFERENCES registration,
    lot_id           uuid NOT NULL REFERENCES lot,
    bidder_id        bigint NOT NULL REFERENCES bidder,
    amount_minor     bigint NOT NULL CHECK (amount_minor >= 0),
    currency         char(3) NOT NULL,
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'posted', 'voided', 'forfeited')),
    placed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz
);
COMMENT ON COLUMN deposit_hold.state IS 'pending ends once: voided (released), posted (applied to the price) or forfeited.';
CREATE INDEX deposit_hold_lot ON deposit_hold (lot_id) WHERE state = 'pending';

CREATE TABLE settlement (
    settlement_id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_id           uuid NOT NULL UNIQUE REFERENCES lot,
    case_id          uuid NOT NULL REFERENCES disposal_case,
    registration_id  uuid NOT NULL REFERENCES registration,
    invoice_number   bigint NOT NULL UNIQUE,
    currency         char(3) NOT NULL,
    price_minor      bigint NOT NULL CHECK (price_minor > 0),
    fees_minor       bigint NOT NULL DEFAULT 0 CHECK (fees_minor >= 0),
    deposit_minor    bigint NOT NULL CHECK (deposit_minor >= 0),
    due_minor        bigint NOT NULL,
    pay_by           timestamptz NOT NULL,
    state            text NOT NULL DEFAULT 'awaiting_payment'
                     CHECK (state IN ('awaiting_payment', 'paid', 'defaulted', 'closed', 'reversed')),
    waterfall        jsonb,
    release_code_sha256 bytea,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    paid_at          timestamptz,
    handed_over_at   timestamptz,
    handed_over_by   text,
    odometer_km      integer CHECK (odometer_km >= 0),
    closed_at        timestamptz,
    version          integer NOT NULL DEFAULT 1,
    CHECK (due_minor = price_minor + fees_minor - deposit_minor)
);
CREATE INDEX settlement_case ON settlement (case_id);
CREATE TABLE settlement_payment (
    payment_id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    settlement_id    uuid NOT NULL REFERENCES settlement,
    reference        text NOT NULL UNIQUE,
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    received_at      timestamptz NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE disposal_cost (
    cost_id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    case_id          uuid NOT NULL REFERENCES disposal_case,
    kind             text NOT NULL CHECK (kind IN ('recovery', 'towing', 'storage', 'appraisal', 'sale', 'legal', 'other')),
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         char(3) NOT NULL,
    receipt          text NOT NULL,
    state            text NOT NULL DEFAULT 'accepted' CHECK (state IN ('accepted', 'waiting', 'refused')),
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (case_id, kind, receipt)
);
COMMENT ON COLUMN disposal_cost.state IS 'waiting: above the cap of the pack, needs a second person.';
-- What the lender claims; append-only, the newest row of a case counts. Without one, the loan's books do.
CREATE TABLE lender_claim (
    claim_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id          uuid NOT NULL REFERENCES disposal_case,
    received_minor   bigint NOT NULL CHECK (received_minor >= 0),
    principal_minor  bigint NOT NULL CHECK (principal_minor >= 0),
    interest_minor   bigint NOT NULL CHECK (interest_minor >= 0),
    accrues_from     date NOT NULL,
    currency         char(3) NOT NULL,
    reference        text NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN lender_claim.received_minor IS 'What the borrower really received: fees kept back at the start are not principal.';
CREATE INDEX lender_claim_case ON lender_claim (case_id, claim_id DESC);
CREATE TABLE junior_claim (
    case_id          uuid NOT NULL REFERENCES disposal_case,
    rank             integer NOT NULL CHECK (rank BETWEEN 1 AND 99),
    claimant         text NOT NULL,
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         char(3) NOT NULL,
    reference        text NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (case_id, rank)
);

CREATE TABLE title_step (
    settlement_id    uuid NOT NULL REFERENCES settlement,
    step             text NOT NULL,
    position         integer NOT NULL,
    state            text NOT NULL DEFAULT 'todo' CHECK (state IN ('todo', 'blocked', 'done', 'waived')),
    evidence         text NOT NULL DEFAULT '',
    actor            text,
    at               timestamptz,
    PRIMARY KEY (settlement_id, step)
);

CREATE FUNCTION ledger_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger_posting p JOIN ledger_account a USING (account_id)
               WHERE p.entry_id = NEW.entry_id GROUP BY a.currency HAVING sum(p.amount_minor) <> 0)
       OR NOT EXISTS (SELECT FROM ledger_posting WHERE entry_id = NEW.entry_id) THEN
        RAISE EXCEPTION 'ledger entry % does not balance', NEW.entry_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- At commit: an entry and all its postings are there, or none.
CREATE CONSTRAINT TRIGGER ledger_entry_balanced AFTER INSERT ON ledger_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances();
CREATE CONSTRAINT TRIGGER ledger_posting_balanced AFTER INSERT ON ledger_posting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances();
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER ledger_posting_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_posting
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER lender_claim_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lender_claim
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER settlement_payment_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement_payment
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
