-- What an entry said when it was booked, as a digest beside it. The triggers refuse edits; a hand that
-- disables them and writes a balanced lie is noticed by `pledgewatch ledger check`. The auction room owns this.

CREATE TABLE ledger_seal (
    entry_id         bigint PRIMARY KEY REFERENCES ledger_entry,
    digest           bytea NOT NULL CHECK (length(digest) = 32)
);
COMMENT ON TABLE ledger_seal IS 'Whoever rewrites the seals too is found with the bank''s statement alone.';

-- Account names are part of it: whose money it was must not change with a renamed account.
CREATE FUNCTION ledger_digest(p_entry bigint) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(jsonb_build_array(
        e.kind, e.reference, e.case_id, e.lot_id, e.actor, e.reverses, extract(epoch FROM e.at)::text,
        (SELECT jsonb_agg(jsonb_build_array(a.kind, a.owner, a.currency, p.amount_minor::text)
                          ORDER BY p.posting_id)
         FROM ledger_posting p JOIN ledger_account a USING (account_id) WHERE p.entry_id = e.entry_id)
    )::text, 'UTF8'))
    FROM ledger_entry e WHERE e.entry_id = p_entry
$$;

INSERT INTO ledger_seal (entry_id, digest) SELECT entry_id, ledger_digest(entry_id) FROM ledger_entry;
CREATE TRIGGER ledger_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seal
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
