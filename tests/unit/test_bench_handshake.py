"""The handshake bench: its bound counts what really runs, and it reports in the shape of the others."""

import hashlib
import hmac
from collections import Counter
from typing import Any

import pytest

from gateway.bench import handshake as bench
from gateway.protocol import noise, primitives, symmetric
from gateway.protocol.primitives import P256, AesGcm, MlKem768


class Counting:
    """Stands for the primitives of the engine and counts their use."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        counts = self.counts

        def sha256(data: bytes) -> Any:
            counts["hash large" if len(data) > 1_000 else "hash"] += 1
            return hashlib.sha256(data)

        def hmac_sha256(key: bytes, data: bytes) -> bytes:
            counts["hmac"] += 1
            return hmac.digest(key, data, "sha256")

        class Aead(AesGcm):
            def __init__(self, key: bytes) -> None:
                counts["aead key"] += 1
                super().__init__(key)

            def encrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
                counts["aead large" if len(data) > 1_000 else "aead"] += 1
                return super().encrypt(counter, data, associated)

            def decrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
                counts["aead large" if len(data) > 1_000 else "aead"] += 1
                return super().decrypt(counter, data, associated)

        class Dh(P256):
            def generate(self) -> Any:
                counts["generate"] += 1
                return super().generate()

            def parse(self, public: bytes) -> Any:
                counts["parse"] += 1
                return super().parse(public)

            def exchange(self, key: Any, public: Any) -> bytes:
                counts["ecdh"] += 1
                return super().exchange(key, public)

        class Kem(MlKem768):
            def parse(self, public: bytes) -> Any:
                counts["kem parse"] += 1
                return super().parse(public)

            def encapsulate(self, public: Any) -> tuple[bytes, bytes]:
                counts["encapsulate"] += 1
                return super().encapsulate(public)

        monkeypatch.setattr(symmetric, "_sha256", sha256)
        monkeypatch.setattr(symmetric, "hmac_sha256", hmac_sha256)
        for table, name, kind in ((primitives.AEADS, "AESGCM", Aead), (primitives.KEMS, "MLKEM768", Kem())):
            monkeypatch.setitem(table, name, kind)
        monkeypatch.setitem(noise.DHS, "P256", Dh())


@pytest.mark.parametrize("name", bench._CASES)
def test_the_bound_counts_no_more_than_what_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, suite, expected, _ = bench._CASES[name]
    serve = build(suite, P256().generate())
    counting = Counting(monkeypatch)
    serve()
    # A step for a key held elsewhere parses the peer's key once more, in the driver that stands for the HSM.
    counting.counts["parse"] -= 2
    assert dict(counting.counts) == expected


def test_what_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ROUNDS", 3)
    figures = list(bench.handshake())
    assert {figure.bench for figure in figures} == {"handshake"}
    assert len(figures) == len(bench._CASES)
    barred = [figure for figure in figures if figure.bar is not None]
    assert [figure.bar for figure in barred] == ["at most 2 x bound"]
    assert all(figure.value > 0 for figure in figures)
