"""Encrypted numbers, who saw them and why, and each attempt to reach somebody.

Tables: contact, contact_reveal, contact_attempt. Process: none.
"""
