"""Forgetting what rules remember of a vehicle, when its reports are erased.

In: vehicles and the period whose reports go. Out: nothing; findings are facts and stay.
Tables: vehicle_state, vehicle_checkpoint, deadline, time_mark. Process: the command that erases.
"""
