"""The four Noise protocols of the wire specification by their number, and what the two contacts share."""

from typing import Final

from gateway.protocol.errors import UnsupportedSuite
from gateway.protocol.frames import Kind, Suite

NAMES: Final = {
    Suite.FIRST_HYBRID: "Noise_IKpsk0+hfs_P256+MLKEM768_AESGCM_SHA256",
    Suite.FIRST_CLASSICAL: "Noise_IKpsk0_P256_AESGCM_SHA256",
    Suite.RESUME_CLASSICAL: "Noise_KKpsk0_P256_AESGCM_SHA256",
    Suite.RESUME_HYBRID: "Noise_KKpsk0+hfs_P256+MLKEM768_AESGCM_SHA256",
}


def name_of(suite: Suite, kind: Kind) -> str:
    """Return the protocol name. Raises UnsupportedSuite when the suite is for the other kind of contact."""
    if suite.kind is not kind:
        raise UnsupportedSuite("this suite is for the other kind of contact")
    return NAMES[suite]
