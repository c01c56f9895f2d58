-- One bid, one round trip. The rule is auction/engine/bidding.py; this is its second implementation, and
-- tests/auction/test_sql_against_engine.py holds the two together. A refused bid writes nothing.

CREATE OR REPLACE FUNCTION auction_step(p_steps jsonb, p_price bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_row jsonb;
    v_step bigint := (p_steps -> 0 ->> 'step_minor')::bigint;
BEGIN
    FOR v_row IN SELECT jsonb_array_elements(p_steps) LOOP
        EXIT WHEN (v_row ->> 'from_minor')::bigint > p_price;
        v_step := (v_row ->> 'step_minor')::bigint;
    END LOOP;
    RETURN v_step;
END $$;

DROP FUNCTION IF EXISTS auction_place_bid(uuid, bigint, bigint, text, timestamptz, boolean, bigint);
CREATE FUNCTION auction_place_bid(
    p_lot uuid, p_bidder bigint, p_max bigint, p_mode text, p_arrived timestamptz,
    p_confirm_high boolean, p_expected bigint,
    OUT rejection text, OUT bid_id uuid, OUT bid_seq bigint, OUT is_leading boolean, OUT price_minor bigint,
    OUT min_next_minor bigint, OUT ends_at timestamptz, OUT extended boolean, OUT currency text,
    OUT arrived_at timestamptz, OUT decided_at timestamptz, OUT lot_seq bigint
) LANGUAGE plpgsql AS $$
DECLARE
    l lot%ROWTYPE;
    v_came timestamptz := statement_timestamp();
    v_drain interval;
    v_locked boolean;
    v_registration uuid;
    v_code text;
    v_leader_code text;
    v_eligible boolean;
    v_raising boolean;
    v_old_price bigint;
    v_best bigint;
    v_salt bytea;
    v_commitment bytea;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'bids need READ COMMITTED: each statement must see what the lock waited for';
    END IF;
    -- Judged twice: first without a lock, and there only what the price rules refuse is final. The price never
    -- falls, so a bid that is too low now stays so; most of a storm ends here, without waiting or flushing.
    -- Everything else, and above all what looks late, is judged again behind the fence and under the lock.
    FOREACH v_locked IN ARRAY ARRAY[false, true] LOOP
        IF v_locked THEN
            PERFORM auction_bid_fence(p_lot);
            -- NO KEY: what refers to the lot (a registration, a hold) need not wait for bids, nor bids for it.
            SELECT * INTO l FROM lot WHERE lot_id = p_lot FOR NO KEY UPDATE;
        ELSE
            SELECT * INTO l FROM lot WHERE lot_id = p_lot;
        END IF;
        decided_at := clock_timestamp();
        arrived_at := least(coalesce(p_arrived, v_came), v_came);
        IF l.lot_id IS NULL THEN
            rejection := 'lot_not_found';
            RETURN;
        END IF;
        v_drain := l.drain_ms * interval '1 millisecond';
        price_minor := l.price_minor;
        min_next_minor := coalesce(l.price_minor + auction_step(l.steps, l.price_minor), l.start_minor);
        ends_at := l.ends_at;
        currency := l.currency;
        lot_seq := l.seq;

        rejection := CASE
            -- It waited longer than the closer does: nobody can promise that it is judged, so it says so.
            WHEN arrived_at < v_came - v_drain THEN 'busy'
            WHEN l.state IN ('hammered', 'unsold', 'paid', 'defaulted', 'transferred', 'handed_over', 'closed')
                THEN CASE WHEN arrived_at < l.ends_at THEN 'busy' ELSE 'lot_closed' END
            WHEN l.state = 'withdrawn' THEN 'lot_closed'
            WHEN l.state = 'published' THEN 'not_started'
            WHEN l.state <> 'open' THEN 'lot_not_open'
            WHEN arrived_at < l.starts_at THEN 'not_started'
            WHEN arrived_at >= l.ends_at + v_drain THEN 'lot_closed'
            WHEN arrived_at >= l.ends_at THEN 'lot_closing'
        END;
        IF rejection IS NOT NULL THEN
            CONTINUE WHEN NOT v_locked;
            RETURN;
        END IF;

        SELECT r.registration_id, r.code, r.state = 'eligible' AND NOT EXISTS (
                   SELECT FROM excluded_party e WHERE e.bidder_id = p_bidder AND e.lifted_at IS NULL
                   AND (e.case_id IS NULL OR e.case_id = l.case_id))
          INTO v_registration, v_code, v_eligible
          FROM registration r WHERE r.lot_id = p_lot AND r.bidder_id = p_bidder;
        v_raising := v_registration = l.leader_id;
        rejection := CASE
            WHEN v_eligible IS NOT TRUE THEN 'not_eligible'
            WHEN p_expected <> coalesce(l.price_minor, l.start_minor) THEN 'price_changed'
            WHEN p_max % l.tick_minor <> 0 THEN 'off_grid'
            WHEN p_max < min_next_minor THEN 'bid_too_low'
            WHEN v_raising AND p_max <= l.leader_max_minor THEN 'self_raise_too_low'
            WHEN p_max > l.high_minor AND NOT p_confirm_high THEN 'confirm_high_required'
        END;
        IF rejection IS NOT NULL THEN
            RETURN;
        END IF;
    END LOOP;

    v_old_price := l.price_minor;
    v_best := l.leader_max_minor;
    v_raising := coalesce(v_raising, false);
    extended := false;
    IF v_raising THEN
        l.leader_max_minor := p_max;
    ELSE
        IF v_best IS NULL THEN
            l.price_minor := CASE p_mode WHEN 'exact' THEN p_max ELSE l.start_minor END;
        ELSIF p_max > v_best THEN
            l.second_max_minor := v_best;
            l.price_minor := CASE p_mode WHEN 'exact' THEN p_max
                             ELSE least(p_max, v_best + auction_step(l.steps, v_best)) END;
        ELSE
            l.second_max_minor := greatest(p_max, l.second_max_minor);
            l.price_minor := least(v_best, p_max + auction_step(l.steps, p_max));
        END IF;
        IF v_best IS NULL OR p_max > v_best THEN
            l.leader_id := v_registration;
            l.leader_max_minor := p_max;
            l.leader_since := arrived_at;
        END IF;
    END IF;
    IF l.reserve_minor IS NULL OR l.price_minor >= l.reserve_minor THEN
        l.reserve_met := true;
    ELSIF l.leader_max_minor >= l.reserve_minor THEN
        l.reserve_met := true;
        l.price_minor := l.reserve_minor;
    END IF;
    -- Only a bid of another bidder comes here to extend; refused ones have returned.
    IF NOT v_raising AND l.ends_at - arrived_at <= l.window_ms * interval '1 millisecond' THEN
        l.ends_at := greatest(l.ends_at, least(arrived_at + l.extension_ms * interval '1 millisecond', l.hard_end_at));
        extended := l.ends_at > ends_at;
        l.extension_count := l.extension_count + extended::integer;
    END IF;

    is_leading := l.leader_id = v_registration;
    price_minor := l.price_minor;
    min_next_minor := l.price_minor + auction_step(l.steps, l.price_minor);
    ends_at := l.ends_at;
    v_salt := uuid_send(gen_random_uuid());
    v_commitment := sha256(v_salt || convert_to(p_max::text, 'UTF8'));
    bid_seq := l.seq + 1;
    lot_seq := bid_seq;
    IF v_raising AND v_old_price = l.price_minor THEN
        l.head_hash := auction_link(p_lot, lot_seq, l.head_hash, 'proxy.raised', v_code, arrived_at, decided_at,
            jsonb_build_object('code', v_code, 'commitment', encode(v_commitment, 'hex')));
    ELSE
        IF is_leading THEN
            v_leader_code := v_code;
        ELSE
            SELECT r.code INTO v_leader_code FROM registration r WHERE r.registration_id = l.leader_id;
        END IF;
        l.head_hash := auction_link(p_lot, lot_seq, l.head_hash, 'bid.accepted', v_code, arrived_at, decided_at,
            jsonb_build_object(
                'code', v_code, 'leader_code', v_leader_code, 'price_minor', price_minor,
                'min_next_minor', min_next_minor, 'ends_at', auction_rfc3339(ends_at), 'auto', NOT is_leading,
                'extended', extended, 'reserve_met', l.reserve_met, 'commitment', encode(v_commitment, 'hex')));
    END IF;
    INSERT INTO bid AS b (lot_id, seq, registration_id, max_minor, mode, salt, commitment, arrived_at)
    VALUES (p_lot, bid_seq, v_registration, p_max, p_mode, v_salt, v_commitment, auction_place_bid.arrived_at)
    RETURNING b.bid_id INTO auction_place_bid.bid_id;
    IF extended THEN
        lot_seq := lot_seq + 1;
        l.head_hash := auction_link(p_lot, lot_seq, l.head_hash, 'lot.extended', 'system', arrived_at, decided_at,
            jsonb_build_object('ends_at', auction_rfc3339(ends_at), 'extension_count', l.extension_count));
    END IF;
    UPDATE lot SET price_minor = l.price_minor, leader_id = l.leader_id, leader_max_minor = l.leader_max_minor,
        leader_since = l.leader_since, second_max_minor = l.second_max_minor, reserve_met = l.reserve_met,
        extension_count = l.extension_count, bid_count = l.bid_count + 1, ends_at = l.ends_at,
        next_timer_at = l.ends_at + v_drain, seq = auction_place_bid.lot_seq, head_hash = l.head_hash,
        updated_at = auction_place_bid.decided_at
    WHERE lot_id = p_lot;
END $$;
