"""Photos as they are kept: a whole picture of a kind we know, and nothing beside it.

In: bytes that somebody uploaded. Out: a `Picture` without EXIF, XMP, comments and trailing data (place,
owner, thumbnails, motion clips); of EXIF only the orientation stays. Tables: none. Process: none.
"""
