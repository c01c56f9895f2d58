"""The memory of jobs: which slot ran, and how it ended.

In: job names and slots. Out: whether to run. Tables: job_run. Process: none.
"""
