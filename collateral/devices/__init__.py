"""Devices, their broker passwords, and which vehicle each was in over time.

Tables: device, device_binding. Process: none.
"""
