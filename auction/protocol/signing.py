"""Canonical bytes, the deployment's Ed25519 key, signatures.

The canonical form is the RFC 8785 form of JSON that holds text, integers, booleans, null, lists and
objects: keys sorted, no blanks, UTF-8. Other numbers have no place in a protocol.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.errors import Misconfigured, Rejected
from core.settings import Settings

KEY_FOLDER = "keys"
KEY_NAME = "protocol.pem"
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


def canonical(document: object) -> bytes:
    """Return the bytes that are signed.

    Raises:
        Rejected: the document holds a number that is no integer (``protocol_not_canonical``).
    """
    _only_exact(document)
    return msgspec.json.encode(document, order="sorted")


def _only_exact(value: object) -> None:
    if isinstance(value, dict):
        for inner in value.values():
            _only_exact(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _only_exact(inner)
    elif not (value is None or isinstance(value, str | int)):
        raise Rejected(
            f"Protocol: expected text, whole numbers, lists and objects, was {type(value).__name__}",
            code="protocol_not_canonical",
        )


def sign(key: Ed25519PrivateKey, document: dict[str, Any]) -> str:
    """Return the signature over a document, as 128 hex digits."""
    return key.sign(canonical(document)).hex()


def signature_holds(key: Ed25519PublicKey, document: dict[str, Any], signature: object) -> bool:
    """Say whether a signature belongs to this key and document; its spelling is fixed too."""
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        return False
    try:
        key.verify(bytes.fromhex(signature), msgspec.json.encode(document, order="sorted"))
    except InvalidSignature:
        return False
    return True


def key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of the raw public key: how a protocol names who signed it."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()


def public_pem(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Return the public key in PEM."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode("ascii")


def read_public(pem: bytes) -> Ed25519PublicKey:
    """Return a public key.

    Raises:
        Rejected: the bytes are no Ed25519 public key in PEM (``bad_public_key``).
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise _bad_key("no PEM public key") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise _bad_key(type(key).__name__)
    return key


def _bad_key(was: str) -> Rejected:
    return Rejected(f"Expected an Ed25519 public key in PEM, was {was}", code="bad_public_key")


def protocol_key(settings: Settings) -> Ed25519PrivateKey:
    """Return the deployment's key: PROTOCOL_KEY_FILE, else one under DATA_DIR made at first use (0600).

    Raises:
        Misconfigured: the file is missing or holds something else (``bad_protocol_key``).
    """
    path = settings.protocol_key_file
    if path is None:
        path = settings.data_dir / KEY_FOLDER / KEY_NAME
        if not path.exists():
            _make(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise _misconfigured(path, str(exc)) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise _misconfigured(path, type(key).__name__)
    return key


def _misconfigured(path: Path, was: str) -> Misconfigured:
    return Misconfigured(
        f"PLEDGEWATCH_PROTOCOL_KEY_FILE: expected an Ed25519 private key in PEM at {path}, was: {was}",
        code="bad_protocol_key",
    )


def _make(path: Path) -> None:
    """Write a new key. Of two processes that make it at once one wins, and both read the winner's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(pem)
        handle.flush()
        os.fsync(handle.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
