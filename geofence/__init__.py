"""Reports become stays, trips, crossings and anomalies: findings, in event time.

In: new reports (called by ingest inside its transaction), time marks, fences, vehicle facts.
Out: findings (facts) and deadlines. Pure rules; the replayer mends late data, the sweeper
turns deadlines that passed into time marks.
Tables: fence, fence_assignment, threshold_set, vehicle_state, vehicle_checkpoint, replay_request, deadline,
time_mark, slot_outage, gap_episode.
Process: `python -m geofence` runs the replayer, the sweeper and the jobs.
"""
