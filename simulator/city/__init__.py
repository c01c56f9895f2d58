"""Yunze (云泽市), a city that does not exist: roads, places, fences, routes.

In: a seed. Out: a road network with named roads and places in local metres, GeoJSON in WGS-84.
Tables: none. Process: none; part of `pledgewatch simulate`.
"""
