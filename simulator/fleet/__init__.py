"""Vehicles with drivers, devices and incidents: reports in the order in which they are sent.

In: a seed, a number of vehicles, a start. Out: `DeviceReport`s and `Label`s; nothing else.
Tables: none. Process: none; part of `pledgewatch simulate`.
"""
