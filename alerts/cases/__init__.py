"""Case files: what people do about a vehicle, opened from an alert.

In: an alert, notes, contact attempts. Out: a file with its entries, oldest first.
Tables: case_file, case_alert, case_entry. Process: none; the API calls it.
"""
