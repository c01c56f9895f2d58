"""Text that may be shown, from text that may hold a password."""

from __future__ import annotations

import re

_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^@\s]*@")
_QUERY = re.compile(r"\?[^\s,]+")
_KEYWORD_PASSWORD = re.compile(r"(?i)\b(password|sslpassword)\s*=\s*('[^']*'|\S+)")


def masked(text: str) -> str:
    """Return the text without the passwords and query values (map keys) of its URLs."""
    hidden = _URL_PASSWORD.sub(r"\1:…@", text)
    hidden = _QUERY.sub("?…", hidden)
    return _KEYWORD_PASSWORD.sub(r"\1=…", hidden)


def destinations(urls: str) -> str:
    """Return only the kinds of notification URLs: in many of them every part is a token."""
    return ", ".join(f"{url.partition('://')[0].strip()}://…" for url in urls.split(",") if url.strip())
