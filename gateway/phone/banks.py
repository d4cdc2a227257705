"""Which S a typed code is used with. Nothing in a typed code speaks for S, so the phone keeps what its host's
configuration said when it first looked, and takes another key only when a finished binding speaks for it: that one
came from a code on the bank's screen. `client.py` calls this, before anything is sent under a typed code."""

from gateway.phone.errors import BankKeyChanged, UnexpectedAnswer
from gateway.phone.store import PhoneStore
from gateway.phone.transport import Network
from gateway.protocol.errors import ForeignHost


async def remember_banks(store: PhoneStore, network: Network) -> None:
    """Keep the keys of all banks at this host, if none are kept. Raises ConnectionLost, GatewayRefused,
    UnexpectedAnswer, ForeignHost."""
    if not store.bank_keys(network.site.host):
        await _known_and_told(store, network)


async def bank_key(tenant: str, *, store: PhoneStore, network: Network) -> bytes:
    """Return S (33 bytes) of a tenant. Raises BankKeyChanged when it is not the one that was kept, or when the tenant
    was not there at first; and as `remember_banks`."""
    known, told = await _known_and_told(store, network)
    key = told.get(tenant)
    if key is None:
        raise UnexpectedAnswer("the configuration does not name this bank")
    if known.get(tenant) == key:
        return key
    if key not in _scanned(store, network.site.host):
        raise BankKeyChanged("the bank's key is not the one that this phone knows")
    store.put_bank_keys(network.site.host, {**known, tenant: key})
    return key


async def _known_and_told(store: PhoneStore, network: Network) -> tuple[dict[str, bytes], dict[str, bytes]]:
    config = await network.config()
    host = network.site.host
    if config.host != host:
        raise ForeignHost(f"the gateway calls itself {config.host}")
    told = {tenant.id: bytes(tenant.s) for tenant in config.tenants}
    known = store.bank_keys(host)
    if not known and told:
        store.put_bank_keys(host, told)
        known = told
    return known, told


def _scanned(store: PhoneStore, host: str) -> set[bytes]:
    finished = (item for item in store.bindings() if item.host == host and item.state == "active")
    return {item.bank_key for item in finished}
