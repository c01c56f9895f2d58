-- A sign of life of the sweeper or of an API process. If neither gave one for longer than an outage takes,
-- the outage that ends now is written down, once: the rows are locked in a fixed order.
CREATE OR REPLACE FUNCTION auction_beat(p_role text, p_outage_after_ms integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_last timestamptz;
    v_now timestamptz;
BEGIN
    PERFORM FROM auction_beat ORDER BY role FOR UPDATE;
    v_now := clock_timestamp();
    SELECT max(at) INTO v_last FROM auction_beat;
    IF v_now - v_last > p_outage_after_ms * interval '1 millisecond' THEN
        INSERT INTO auction_outage (began_at, ended_at) VALUES (v_last, v_now);
    END IF;
    INSERT INTO auction_beat (role, at) VALUES (p_role, v_now)
    ON CONFLICT (role) DO UPDATE SET at = greatest(auction_beat.at, EXCLUDED.at);
END $$;
