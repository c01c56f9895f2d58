"""SQL of the geofence room, one file per set of tables; every function takes the connection first.

In: a connection whose transaction the caller owns. Out: rows as plain values.
Tables: vehicle_state, vehicle_checkpoint (states), replay_request (replays), deadline, time_mark
(deadlines, with slot_outage), fence, fence_assignment (fences), threshold_set (facts). Process: none.
"""
