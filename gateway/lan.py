"""A development certificate for `tessera serve --lan`, so that a real phone on the same network can open the pages:
browsers give cameras and keys to HTTPS pages only. A small authority of this folder's own signs it; the phone trusts
that authority once. Never for production: whoever has the folder can sign for any name on phones that trust it."""

import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.clock import Clock
from gateway.settings import ConfigError, ConfigProblem

CA_DAYS = 365
LEAF_DAYS = 30


@dataclass(frozen=True, slots=True)
class DevelopmentTls:
    """What the server needs: the address on the network, the context, and the authority's certificate (PEM) for the
    phone."""

    address: str
    context: ssl.SSLContext
    authority_pem: bytes


def lan_address() -> str | None:
    """Return this machine's address on its network, None when it has none. Nothing is sent: connecting a datagram
    socket only asks for the route (192.0.2.1 is reserved for documentation, RFC 5737)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if ipaddress.ip_address(address).is_loopback else address


def make_tls(folder: Path, *, address: str, clock: Clock) -> DevelopmentTls:
    """Return the server's side of TLS for `address`, localhost and 127.0.0.1. Authority and key stay in `folder`; the
    server's certificate is made anew at each start."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.fromtimestamp(clock.now(), UTC)
    ca_key, ca = _authority(folder, now)
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in dict.fromkeys((address, "127.0.0.1"))]
    leaf = (
        _builder(f"Tessera development {address}", now, LEAF_DAYS)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    chain, private = folder / "dev-cert.pem", folder / "dev-cert.key"
    chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + ca_pem)
    _write_key(private, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, private)
    return DevelopmentTls(address, context, ca_pem)


def load_tls(cert: Path, key: Path) -> ssl.SSLContext:
    """Return the server's side of TLS for the operator's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


def _authority(folder: Path, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return the folder's authority; make it when there is none, or it ends before a new certificate would."""
    cert_path, key_path = folder / "dev-ca.crt", folder / "dev-ca.key"
    if cert_path.exists() and key_path.exists():
        try:
            ca = x509.load_pem_x509_certificate(cert_path.read_bytes())
            loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            problem = f"{cert_path} or {key_path.name} beside it is damaged"
            step = "Delete both: a new authority is made, which the phones have to trust anew."
            raise ConfigError([ConfigProblem("data", problem, step)]) from None
        if isinstance(loaded, ec.EllipticCurvePrivateKey) and ca.not_valid_after_utc > now + timedelta(
            days=LEAF_DAYS
        ):
            return loaded, ca
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("Tessera development authority", now, CA_DAYS)
    ca = (
        builder.issuer_name(_name("Tessera development authority"))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signing_only(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    cert_path.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return key, ca


def _builder(name: str, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
