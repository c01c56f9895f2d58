"""What a pledgor agreed to, in which text, for which purposes, until when.

Tables: consent. Process: none.
"""
