"""Trackers that speak JT/T 808 (2011, 2013, 2019) instead of MQTT.

In: frames over TCP; commands from the broker. Out: wire messages (core/wire) on the device's topics, QoS 1;
a terminal gets its answer only after the broker has acknowledged with success.
Tables: jt808_terminal. Process: `python -m ingest.gateways.jt808`.
Start reading: session.py, the state of one connection.
"""
