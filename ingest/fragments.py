"""Finding the reports inside a payload that is not JSON, so that a publish log can be compared with it."""

from __future__ import annotations

import re

MOST_FRAGMENTS = 1_000
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


def fragments(payload: bytes) -> list[bytes]:
    """Return the whole payload and every balanced ``{…}`` at the top level of an array."""
    text = payload.strip()
    found = [text]
    if not text.startswith(b"["):
        return found
    depth = start = 0
    for match in _TOKEN.finditer(text):
        brace = match[0]
        if brace == b"{":
            if depth == 0:
                start = match.start()
            depth += 1
        elif brace == b"}" and depth:
            depth -= 1
            if depth == 0:
                found.append(text[start : match.end()])
                if len(found) > MOST_FRAGMENTS:
                    break
    return found
