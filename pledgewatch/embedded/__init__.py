"""The embedded stack: what `pledgewatch up` needs on a machine that has nothing installed.

In: settings. Out: a running PostgreSQL, an MQTT broker and the room processes, or a StackHandle on
those that run already. Owns no tables; its state is under DATA_DIR. Runs inside the `pledgewatch`
command; everything it starts dies with it.
"""
