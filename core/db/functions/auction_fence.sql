-- The closing fence. A bid in time may still wait for the lot's row when the closer comes. So every bid first
-- takes the fence shared, and the closer takes it exclusive, after ends_at + drain and before the row: it
-- then waits for every bid that was under way, and no bid under way is refused because it waited.

CREATE OR REPLACE FUNCTION auction_bid_fence(p_lot uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7010, hashtext(p_lot::text));
END $$;

CREATE OR REPLACE FUNCTION auction_close_fence(p_lot uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7010, hashtext(p_lot::text));
END $$;
