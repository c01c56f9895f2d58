"""The brake on password guessing: failures are counted by login and by address, in the database.

In: failed sign-ins. Out: whether one more may be tried. Tables: sign_in_failure. Process: `python -m api`.
"""
