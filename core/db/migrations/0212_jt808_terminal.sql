-- Terminals of the JT/T 808 gateway: which number speaks for which device, and the hash of its code.

CREATE TABLE jt808_terminal (
    terminal_no        text PRIMARY KEY CHECK (terminal_no ~ '^[1-9][0-9]{0,19}$'),
    device_id          text NOT NULL UNIQUE REFERENCES device,
    dialect            text,
    code_hash          text,
    open_registration  boolean NOT NULL DEFAULT true,
    manufacturer       text,
    terminal_id        text,
    reported_model     text,
    registered_at      timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN jt808_terminal.terminal_no IS 'As in the header of its frames, without leading zeros.';
COMMENT ON COLUMN jt808_terminal.open_registration IS
    'False: the code was set by hand, and a registration over the network cannot replace it.';
COMMENT ON COLUMN jt808_terminal.terminal_id IS
    'Of the first registration, with the manufacturer: another device with this number cannot take it over.';

INSERT INTO revision (name) VALUES ('jt808_terminals');
CREATE TRIGGER jt808_terminal_bumps AFTER INSERT OR UPDATE OR DELETE ON jt808_terminal
    FOR EACH STATEMENT EXECUTE FUNCTION bump_revision('jt808_terminals');
