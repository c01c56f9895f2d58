-- A loan's balance is its newest snapshot minus the payments made after it, whatever the order in which
-- the two arrive. So the snapshot's own figures are kept beside the current ones.

ALTER TABLE loan
    ADD COLUMN snapshot_balance_minor bigint,
    ADD COLUMN snapshot_days_past_due integer,
    ADD COLUMN snapshot_status        text,
    ADD COLUMN snapshot_next_due_on   date;
UPDATE loan SET snapshot_balance_minor = balance_minor, snapshot_days_past_due = days_past_due,
    snapshot_status = status, snapshot_next_due_on = next_due_on;

-- A row written without them is its own first snapshot.
CREATE FUNCTION loan_is_its_first_snapshot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.snapshot_balance_minor := coalesce(NEW.snapshot_balance_minor, NEW.balance_minor);
    NEW.snapshot_days_past_due := coalesce(NEW.snapshot_days_past_due, NEW.days_past_due);
    IF NEW.snapshot_status IS NULL THEN
        NEW.snapshot_status := NEW.status;
        NEW.snapshot_next_due_on := coalesce(NEW.snapshot_next_due_on, NEW.next_due_on);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER loan_first_snapshot BEFORE INSERT ON loan
    FOR EACH ROW EXECUTE FUNCTION loan_is_its_first_snapshot();
ALTER TABLE loan
    ALTER COLUMN snapshot_balance_minor SET NOT NULL,
    ALTER COLUMN snapshot_days_past_due SET NOT NULL,
    ALTER COLUMN snapshot_status SET NOT NULL;

CREATE TABLE loan_payment (
    payment_id     text PRIMARY KEY,
    loan_id        text NOT NULL REFERENCES loan,
    amount_minor   bigint NOT NULL CHECK (amount_minor > 0),
    paid_at        timestamptz NOT NULL,
    days_past_due  integer CHECK (days_past_due >= 0),
    next_due_on    date,
    source         text NOT NULL DEFAULT '',
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN loan_payment.days_past_due IS 'What the servicing system says remains past due after the payment; NULL: not said.';
CREATE INDEX loan_payment_loan ON loan_payment (loan_id, paid_at, payment_id);
