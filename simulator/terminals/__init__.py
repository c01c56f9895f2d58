"""Trackers that do not speak MQTT, for tests and demos: they encode by themselves, and share no code with
the gateways, so that a mistake of a decoder is not hidden by the same mistake here.

In: what to say. Out: bytes on a socket, and what was answered. Tables: none. Process: none.
"""
