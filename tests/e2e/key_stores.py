"""The key store that the gateways of these tests have: the key file of their data folder, or, with
TESSERA_TEST_HSM=softhsm in the environment, a SoftHSM token of their own there, reached by PKCS#11."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hsm_modules import SOFTHSM, needs, softhsm_token, uri_of

from gateway.keys.service import default_store_uri

CHOSEN = os.environ.get("TESSERA_TEST_HSM", "")


@dataclass(frozen=True)
class KeyStore:
    """A gateway's key store: its URI, and the environment that the gateway's process wants for it."""

    uri: str
    environment: Mapping[str, str] = field(default_factory=dict)


def make_key_store(data: Path) -> KeyStore:
    """Make the key store of a gateway with this data folder."""
    if not CHOSEN:
        return KeyStore(default_store_uri(str(data)))
    if CHOSEN != "softhsm":
        raise ValueError(f"TESSERA_TEST_HSM is softhsm or nothing, not {CHOSEN!r}")
    needs(SOFTHSM, "softhsm2-util")
    folder = data / "hsm"
    folder.mkdir()
    found = softhsm_token(folder)
    uri = uri_of(SOFTHSM, folder)
    return KeyStore(uri, {**found, "TESSERA_HSM": uri})
