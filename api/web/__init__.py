"""The pages: server-rendered, in Chinese and English, with small ES modules where a page must move.

In: the same stores as the API, and its checks. Out: HTML under a strict content security policy.
Tables: none. Process: `python -m api`.
"""
