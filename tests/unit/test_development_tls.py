"""The development certificate: good for this machine's address, signed by an authority that stays."""

import ipaddress
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from gateway.core.clock import ManualClock, SystemClock
from gateway.lan import CA_DAYS, lan_address, load_tls, make_tls
from gateway.settings import ConfigError

ADDRESS = "192.0.2.7"


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Run a TLS handshake in memory. Raises ssl.SSLError when the client refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (near, far, near, far):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_client_that_trusts_the_authority_accepts_every_name(tmp_path: Path) -> None:
    tls = make_tls(tmp_path, address=ADDRESS, clock=SystemClock())
    client = ssl.create_default_context(cadata=tls.authority_pem.decode())
    for name in (ADDRESS, "127.0.0.1", "localhost"):
        shake_hands(tls.context, client, name)
    try:
        shake_hands(tls.context, client, "bank.example")
    except ssl.SSLCertVerificationError:
        pass
    else:
        raise AssertionError("a foreign name was accepted")


def test_names_are_in_the_certificate(tmp_path: Path) -> None:
    make_tls(tmp_path, address=ADDRESS, clock=SystemClock())
    leaf = read(tmp_path / "dev-cert.pem")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(ADDRESS),
        ipaddress.ip_address("127.0.0.1"),
    ]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_authority_stays_until_it_is_nearly_over(tmp_path: Path) -> None:
    clock = ManualClock()
    first = make_tls(tmp_path, address=ADDRESS, clock=clock).authority_pem
    leaf = (tmp_path / "dev-cert.pem").read_bytes()
    assert make_tls(tmp_path, address="192.0.2.8", clock=clock).authority_pem == first
    assert (tmp_path / "dev-cert.pem").read_bytes() != leaf
    clock.advance((CA_DAYS - 10) * 86_400)
    assert make_tls(tmp_path, address=ADDRESS, clock=clock).authority_pem != first
    now = datetime.fromtimestamp(clock.now(), UTC)
    assert (
        read(tmp_path / "dev-cert.pem").not_valid_after_utc
        < read(tmp_path / "dev-ca.crt").not_valid_after_utc
    )
    assert read(tmp_path / "dev-ca.crt").not_valid_before_utc < now


def test_keys_are_for_this_user_alone(tmp_path: Path) -> None:
    make_tls(tmp_path, address=ADDRESS, clock=SystemClock())
    for name in ("dev-ca.key", "dev-cert.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_operators_own_certificate_is_loaded(tmp_path: Path) -> None:
    make_tls(tmp_path, address=ADDRESS, clock=SystemClock())
    context = load_tls(tmp_path / "dev-cert.pem", tmp_path / "dev-cert.key")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_lan_address_is_not_loopback() -> None:
    address = lan_address()
    assert address is None or not ipaddress.ip_address(address).is_loopback


@pytest.mark.parametrize("name", ["dev-ca.crt", "dev-ca.key"])
def test_damaged_authority_is_named(tmp_path: Path, name: str) -> None:
    make_tls(tmp_path, address=ADDRESS, clock=SystemClock())
    (tmp_path / name).write_bytes(b"no PEM")
    with pytest.raises(ConfigError, match=r"dev-ca\.crt.*damaged.*Delete both"):
        make_tls(tmp_path, address=ADDRESS, clock=SystemClock())
