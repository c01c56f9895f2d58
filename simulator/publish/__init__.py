"""Device reports over MQTT: one connection per device, thousands from one process.

In: an iterator of `DeviceReport`s, a pace, credentials. Out: QoS 1 messages and an ack log.
Tables: none. Process: none; part of `pledgewatch simulate`.
"""
