"""Devices that do not speak MQTT: each gateway turns their language into wire messages on the same topics.

In: JT/T 808 over TCP, vendor clouds over HTTP. Out: messages of core/wire, published with the broker account
`gateway`. Tables: those of the gateways. Process: one per gateway.
"""
