"""One file per family of commands; each exposes `app`, a Typer, loaded when it is called.

In: arguments. Out: what the contracts promise on stdout, progress on stderr, an exit code.
Tables: none. Process: short-lived, except `up`, `events` and `simulate`.
"""
