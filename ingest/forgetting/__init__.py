"""Forgetting refused payloads, which may tell where a device was, when its reports are erased.

In: devices and a period. Out: nothing. Tables: quarantine, dead_letter. Process: the command that erases.
"""
