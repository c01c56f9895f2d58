"""Contact values are encrypted before they reach the database, and found by a keyed hash.

The key is PLEDGEWATCH_CONTACTS_KEY (one Fernet key, or several separated by commas: the first encrypts,
all decrypt, so that a key can be replaced without a stop), else the file secrets/contacts_key under
DATA_DIR, made on first use. In production the variable is required: a generated key would be lost with
its machine, and every number with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.errors import Misconfigured, PledgewatchError

if TYPE_CHECKING:
    from core.settings import Settings

KEY_BYTES = 32
_SEPARATOR = "\x1f"


class ContactCipher:
    """Seals, opens and indexes contact values."""

    def __init__(self, keys: str) -> None:
        """Take one or more Fernet keys, separated by commas.

        Raises:
            Misconfigured: a key is not 32 bytes in URL-safe base64.
        """
        raw = [_decoded(key.strip()) for key in keys.split(",") if key.strip()]
        if not raw:
            raise _bad_key()
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in raw])
        # The oldest key indexes: a new key in front must not lose the values that are stored.
        self._index_key = hmac.digest(raw[-1], b"pledgewatch contact blind index", "sha256")

    def seal(self, party_id: str, kind: str, value: str) -> bytes:
        """Encrypt a value for one party: moved to another row, it does not open."""
        return self._fernet.encrypt(_SEPARATOR.join((party_id, kind, value)).encode())

    def open(self, party_id: str, kind: str, ciphertext: bytes) -> str:
        """Decrypt the value of a party.

        Raises:
            Misconfigured: none of the keys fits.
            PledgewatchError: the value was sealed for another party or kind (``contact_moved``).
        """
        try:
            plain = self._fernet.decrypt(ciphertext).decode()
        except InvalidToken as exc:
            raise Misconfigured(
                "PLEDGEWATCH_CONTACTS_KEY: expected the key that the contact was stored with, was another",
                code="contacts_key_wrong",
            ) from exc
        owner, sealed_kind, value = plain.split(_SEPARATOR, 2)
        if (owner, sealed_kind) != (party_id, kind):
            raise PledgewatchError(
                f"Contact of {party_id}: was sealed for another party; the row was tampered with",
                code="contact_moved",
            )
        return value

    def index(self, kind: str, normal_value: str) -> bytes:
        """Return the keyed hash of a normalised value; equal values of one kind have equal hashes."""
        return hmac.new(
            self._index_key, _SEPARATOR.join((kind, normal_value)).encode(), hashlib.sha256
        ).digest()


def open_cipher(settings: Settings) -> ContactCipher:
    """Return the deployment's cipher.

    Raises:
        Misconfigured: the key is malformed, or missing in production.
    """
    if settings.contacts_key is not None:
        return ContactCipher(settings.contacts_key.get_secret_value())
    path = settings.data_dir / "secrets" / "contacts_key"
    if not path.exists():
        if settings.env == "production":
            raise Misconfigured(
                "PLEDGEWATCH_CONTACTS_KEY: expected a Fernet key in production, was not set "
                "(32 random bytes in URL-safe base64)",
                code="contacts_key_missing",
            )
        _make_key(path)
    return ContactCipher(path.read_text(encoding="utf-8").strip())


def _make_key(path: Path) -> None:
    """Write a new key; of two processes that try at once, one wins and both read the winner's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(Fernet.generate_key().decode() + "\n")
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _decoded(key: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    except (binascii.Error, ValueError) as exc:
        raise _bad_key() from exc
    if len(raw) != KEY_BYTES:
        raise _bad_key()
    return raw


def _bad_key() -> Misconfigured:
    return Misconfigured(
        f"PLEDGEWATCH_CONTACTS_KEY: expected {KEY_BYTES} bytes in URL-safe base64 (a Fernet key)",
        code="contacts_key_bad",
    )
