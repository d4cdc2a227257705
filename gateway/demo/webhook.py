"""How the demo bank checks a webhook: Standard Webhooks 1.0.0, written from its specification and apart from the
gateway's sender, so that a misreading in one shows in the other."""

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping

TOLERANCE_SECONDS = 300
_REMEMBERED_IDS = 10_000


class WebhookRefused(Exception):
    """The delivery is not what the gateway signed, or is too old."""


class WebhookRepeated(Exception):
    """The delivery came before, and its answer was lost: take it, and do nothing."""


class WebhookVerifier:
    """Checks deliveries signed with one `whsec_` secret (base64, 24 to 64 bytes) and drops repeated ids."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        self._seen: OrderedDict[str, None] = OrderedDict()

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: float) -> None:
        """Check one delivery; `now` is Unix seconds. Raises WebhookRefused, WebhookRepeated."""
        identifier = headers.get("webhook-id", "")
        timestamp = headers.get("webhook-timestamp", "")
        if not _is_plain(identifier, 128) or not _is_plain(timestamp, 12) or not timestamp.isdecimal():
            raise WebhookRefused("the webhook headers are missing or not valid")
        if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
            raise WebhookRefused("the webhook is too old")
        signed = f"{identifier}.{timestamp}.".encode() + body
        expected = hmac.digest(self._key, signed, hashlib.sha256)
        if not any(
            hmac.compare_digest(expected, given)
            for given in _signatures(headers.get("webhook-signature", ""))
        ):
            raise WebhookRefused("the webhook's signature is wrong")
        if identifier in self._seen:
            raise WebhookRepeated()
        self._seen[identifier] = None
        if len(self._seen) > _REMEMBERED_IDS:
            self._seen.popitem(last=False)

    def forget(self, identifier: str) -> None:
        """Take a delivery again when it comes again: what it told could not be done."""
        self._seen.pop(identifier, None)


def _is_plain(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isascii()


def _signatures(header: str) -> list[bytes]:
    """Return the v1 signatures of a space-separated list, at most 8."""
    found = []
    for part in header.split(" ")[:8]:
        version, _, value = part.partition(",")
        if version != "v1":
            continue
        try:
            found.append(base64.b64decode(value, validate=True))
        except ValueError:  # not base64, or not even ASCII
            continue
    return found
