"""The front door: one command line, the wiring of domain events, the embedded stack, the benchmarks.

In: arguments and settings. Out: running processes, files, exit codes.
Tables: none of its own. Process: `pledgewatch …`; `pledgewatch events` dispatches domain events.
"""
