-- The chain of a lot: hash = SHA-256(prev_hash || body), body = the event as UTF-8 JSON, stored as hashed.

CREATE OR REPLACE FUNCTION auction_rfc3339(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Write one link and return its hash. The caller holds the lot's row and moves its seq and head_hash.
CREATE OR REPLACE FUNCTION auction_link(
    p_lot uuid, p_seq bigint, p_prev bytea, p_kind text, p_actor text,
    p_arrived timestamptz, p_decided timestamptz, p_payload jsonb
) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    v_body bytea := convert_to(jsonb_build_object(
        'v', 1, 'lot', p_lot, 'seq', p_seq, 'kind', p_kind, 'actor', p_actor, 'payload', p_payload,
        'arrived_at', auction_rfc3339(p_arrived), 'decided_at', auction_rfc3339(p_decided))::text, 'UTF8');
    v_hash bytea := sha256(p_prev || v_body);
BEGIN
    INSERT INTO lot_event (lot_id, seq, kind, actor_code, arrived_at, decided_at, payload, body, prev_hash, hash)
    VALUES (p_lot, p_seq, p_kind, p_actor, p_arrived, p_decided, p_payload, v_body, p_prev, v_hash);
    RETURN v_hash;
END $$;

-- Append an event to a lot: takes the row lock, so that seq has no gaps.
CREATE OR REPLACE FUNCTION auction_append_event(
    p_lot uuid, p_kind text, p_payload jsonb, p_actor text, p_arrived timestamptz
) RETURNS SETOF lot_event LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
    v_head bytea;
    v_now timestamptz;
BEGIN
    SELECT seq + 1, head_hash INTO v_seq, v_head FROM lot WHERE lot_id = p_lot FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'expected a lot, there is none with id %', p_lot USING ERRCODE = 'foreign_key_violation';
    END IF;
    v_now := clock_timestamp();
    v_head := auction_link(p_lot, v_seq, v_head, p_kind, p_actor, coalesce(p_arrived, v_now), v_now, p_payload);
    UPDATE lot SET seq = v_seq, head_hash = v_head, updated_at = v_now WHERE lot_id = p_lot;
    RETURN QUERY SELECT * FROM lot_event WHERE lot_id = p_lot AND seq = v_seq;
END $$;
