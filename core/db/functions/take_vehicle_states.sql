-- The first thing a batch of reports does to the states of its vehicles (geofence/store/states.py: take):
-- locks the rows in the order of `ids` and raises their versions, in one pass over them. `through` is what
-- edits of fences ask: whether the vehicle has seen anything since a moment.
-- The planner's other ways to join would lock in the order of the table, and two batches could wait for
-- each other.
CREATE OR REPLACE FUNCTION take_vehicle_states(ids text[], moments timestamptz[])
RETURNS TABLE (vehicle_id text, state_version bigint)
LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    UPDATE vehicle_state s SET
        state_version = s.state_version + 1,
        through = greatest(s.through, v.moment),
        updated_at = clock_timestamp()
    FROM unnest(ids, moments) AS v(id, moment) WHERE s.vehicle_id = v.id
    RETURNING s.vehicle_id, s.state_version;
END $$;
