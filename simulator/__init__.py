"""A fleet of devices that speaks real MQTT, and people who drive badly, with labels.

In: a seed, or a recorded track file. Out: MQTT reports (or a track file), labels, an ack log.
Everything before the publisher is pure and seeded: same seed, same bytes.
Tables: none. Imports core alone, so that it cannot share a mistake with what it tests.
Process: `pledgewatch simulate`.
"""
