"""What holds a secret does not print it: a log line or a traceback with its locals is read by more people than the
secret is for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.activation import views
from gateway.codes import Form
from gateway.core.secrets import Secret
from gateway.demo_setup import _Kept
from gateway.http.idempotency import Answer, Claim
from gateway.phone.models import PhoneKeys
from gateway.protocol.noise import HandshakeKeys
from gateway.settings import Settings
from gateway.webhooks.routes import EndpointView

SECRET = "hunter2-hunter2"
BYTES = SECRET.encode()
NOW = datetime.fromtimestamp(1_800_000_000, UTC)
ACTIVATION: Any = "an activation"
HOLDERS = [
    Answer(200, "application/json", BYTES),
    Claim(b"digest", 1, BYTES),
    HandshakeKeys(psks=(BYTES,)),
    PhoneKeys(BYTES, BYTES, BYTES),
    Secret(BYTES),
    Settings(metrics_token=SECRET),
    Settings(database_url=f"postgresql://tessera:{SECRET}@db/tessera"),
    views.StartedActivation(ACTIVATION, SECRET, NOW),
    views.PageTokenView(SECRET, NOW),
    views.TypedDeviceCode(SECRET),
    views.CodeView(
        kind="activation",
        form=Form.QR,
        rotation=1,
        next_in_ms=1,
        expires_at=NOW,
        svg=SECRET,
        alt=views.AltText("", ""),
        link=SECRET,
        typed=SECRET,
    ),
    EndpointView("whk_1", "https://bank.example/", [], NOW, SECRET),
    _Kept("ten_1", SECRET, "whk_1", "https://bank.example/", SECRET, SECRET),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_a_secret_is_not_printed(holder: object) -> None:
    for text in (repr(holder), str(holder), f"{[holder]}"):
        assert SECRET not in text
        assert type(holder).__name__ in text


def test_what_is_no_secret_is() -> None:
    assert "rotation=1" in repr(HOLDERS[10])
    assert "listen_port=8080" in repr(Settings())
