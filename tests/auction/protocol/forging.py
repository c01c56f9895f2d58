"""How somebody with, or without, the key would alter a protocol."""

import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auction.protocol.signing import canonical, sign
from auction.protocol.verify import verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def leaves(value, path=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))
    else:
        yield path, value


def changed(document, path, value):
    copy = json.loads(canonical(document))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


def resigned(document, key=KEY):
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    return canonical(unsigned | {"signature": sign(key, unsigned)})


def other(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 10_000
    if value is None:
        return "x"
    return value[:-1] + ("0" if value[-1:] != "0" else "1")


def rechained(document):
    """Write every hash anew, as somebody who owns the database could."""
    before = b""
    for number, link in enumerate(document["events"], start=1):
        body = json.loads(link["body"])
        body["seq"] = number
        link["seq"] = number
        link["body"] = json.dumps(body, ensure_ascii=False)
        before = hashlib.sha256(before + link["body"].encode()).digest()
        link["hash"] = before.hex()
    document["head"] = {"seq": len(document["events"]), "hash": before.hex()}
    return document


def bid_places(document):
    return [
        place for place, link in enumerate(document["events"])
        if json.loads(link["body"])["kind"] == "bid.accepted"
    ]  # fmt: skip


def codes(content):
    return {problem.code for problem in verify(content, PUBLIC).problems}
