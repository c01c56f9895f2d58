"""The two kinds of channel: our signed webhook, and everything Apprise speaks."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Protocol

import apprise
import httpx

from core.clock import wall_now
from core.errors import Misconfigured, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from alerts.delivery.store import Delivery

SEND_TIMEOUT_S = 10.0
SIGNATURE_HEADER = "Pledgewatch-Signature"


class Channel(Protocol):
    """Sends one message; raises Upstream when it was not taken."""

    def send(self, delivery: Delivery) -> None:
        """Send; return only when the other side took it."""
        ...


def message_body(delivery: Delivery) -> bytes:
    """Return the JSON that a webhook receives."""
    return json.dumps(
        {
            "id": f"{delivery.event_seq}",
            "kind": delivery.kind,
            "alert": {
                "id": str(delivery.alert_id),
                "vehicle_id": delivery.vehicle_id,
                "plate": delivery.plate,
                "rule": delivery.rule,
                "scope": delivery.scope,
                "severity": delivery.severity,
                "last_seen": delivery.last_seen.isoformat(),
                "evidence": delivery.evidence,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def signature(secret: str, moment: datetime, body: bytes) -> str:
    """Return ``t=UNIX,v1=HEX``: HMAC-SHA256 over ``UNIX.body``, so that a replayed body shows its age."""
    stamp = int(moment.timestamp())
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


class Webhook:
    """POSTs a signed JSON message; any 2xx counts as taken. Redirects are not followed."""

    def __init__(self, url: str, secret: str, now: Callable[[], datetime] = wall_now) -> None:
        self._url = url
        self._secret = secret
        self._now = now
        self._client = httpx.Client(timeout=SEND_TIMEOUT_S, follow_redirects=False, trust_env=False)

    def send(self, delivery: Delivery) -> None:
        """Send one message; the Idempotency-Key stays the same over all tries."""
        body = message_body(delivery)
        try:
            response = self._client.post(
                self._url,
                content=body,
                headers={
                    "Content-Type": "application/json",
                    "Idempotency-Key": f"pledgewatch-{delivery.delivery_id}",
                    SIGNATURE_HEADER: signature(self._secret, self._now(), body),
                },
            )
        except httpx.HTTPError as exc:
            raise Upstream(f"Webhook: {type(exc).__name__}: {exc}", code="webhook_unreachable") from exc
        if not response.is_success:
            raise Upstream(f"Webhook: expected 2xx, was {response.status_code}", code="webhook_refused")


class AppriseChannel:
    """Any Apprise URL (WeCom, DingTalk, Feishu, mail, SMS gateways …)."""

    def __init__(self, url: str) -> None:
        self._service = apprise.Apprise()
        if not self._service.add(url):
            raise Misconfigured(
                f"PLEDGEWATCH_NOTIFY_URLS: expected URLs that Apprise knows, was {url.partition(':')[0]}://…",
                code="bad_notify_url",
            )

    def send(self, delivery: Delivery) -> None:
        """Send a two-line text."""
        subject = delivery.plate or delivery.vehicle_id or "-"
        taken = self._service.notify(
            title=f"[{delivery.severity}] {subject} {delivery.rule}",
            body=f"{delivery.last_seen.isoformat()} {delivery.scope}".strip(),
        )
        if not taken:
            raise Upstream("Apprise: the service did not take the message", code="apprise_refused")


def open_channels(notify_urls: str, webhook_secret: str | None) -> dict[str, Channel]:
    """Build the channels of ``PLEDGEWATCH_NOTIFY_URLS``; their names are hashes, since URLs hold secrets.

    Raises:
        Misconfigured: a webhook has no secret to sign with, or Apprise does not know a URL.
    """
    channels: dict[str, Channel] = {}
    for url in filter(None, (part.strip() for part in notify_urls.split(","))):
        scheme = url.split(":", 1)[0]
        name = f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        if scheme in {"http", "https"}:
            if not webhook_secret:
                raise Misconfigured(
                    "Expected PLEDGEWATCH_WEBHOOK_SECRET to sign webhooks with, was not set",
                    code="webhook_secret_missing",
                )
            channels[name] = Webhook(url, webhook_secret)
        else:
            channels[name] = AppriseChannel(url)
    return channels
