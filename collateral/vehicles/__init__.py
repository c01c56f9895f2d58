"""Vehicles and what identifies them: VIN, plate, engine number.

Tables: vehicle. Process: none.
"""
