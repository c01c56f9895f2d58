"""Places: coordinate frames and distances, vectorised.

In: degrees. Out: WGS-84 degrees, metres. Tables: none. Process: none; a library.
"""
