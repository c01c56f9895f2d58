"""Commands to devices: locate, track, interval, reboot; asked for a purpose, answered by the device.

In: a person's command, the device's answers (cmdack), the broker's word that it was sent.
Out: what is due to be sent; each command's state until it is done, refused, expired or cancelled.
Tables: device_command. Process: none; api queues, ingest sends and reads the answers.
"""
