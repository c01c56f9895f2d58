-- The hammer. Call it under the closing fence (auction_close_fence). Says what happened:
-- hammered, unsold, rearmed (a bid moved the end on, the timer is set anew) or stale (somebody was faster).
-- The rule is End in auction/engine/apply.py.

CREATE OR REPLACE FUNCTION auction_decide(p_lot uuid, p_epoch integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    l lot%ROWTYPE;
    v_now timestamptz;
    v_code text;
    v_outcome text;
    v_payload jsonb;
BEGIN
    SELECT * INTO l FROM lot WHERE lot_id = p_lot FOR NO KEY UPDATE;
    IF l.lot_id IS NULL OR l.state <> 'open' OR l.epoch <> p_epoch THEN
        RETURN 'stale';
    END IF;
    v_now := clock_timestamp();
    IF v_now < l.ends_at + l.drain_ms * interval '1 millisecond' THEN
        UPDATE lot SET next_timer_at = l.ends_at + l.drain_ms * interval '1 millisecond', timer_kind = 'end'
        WHERE lot_id = p_lot;
        RETURN 'rearmed';
    END IF;
    IF l.leader_id IS NULL THEN
        v_outcome := 'unsold';
        v_payload := jsonb_build_object('reason', 'no_bids');
    ELSIF NOT l.reserve_met THEN
        v_outcome := 'unsold';
        v_payload := jsonb_build_object('reason', 'reserve_not_met');
    ELSE
        v_outcome := 'hammered';
        SELECT r.code INTO v_code FROM registration r WHERE r.registration_id = l.leader_id;
        v_payload := jsonb_build_object('price_minor', l.price_minor, 'code', v_code);
    END IF;
    UPDATE lot SET state = v_outcome, epoch = l.epoch + 1, version = l.version + 1, seq = l.seq + 1,
        head_hash = auction_link(p_lot, l.seq + 1, l.head_hash, 'lot.' || v_outcome, 'system', v_now, v_now, v_payload),
        hammered_at = CASE v_outcome WHEN 'hammered' THEN v_now END,
        next_timer_at = NULL, timer_kind = NULL, updated_at = v_now
    WHERE lot_id = p_lot;
    RETURN v_outcome;
END $$;
