"""Finds the adapter for a key URI among the entry points `tessera.hsm_adapters`, whose names are the URIs' schemes.
The composition root and the command line call it. It never guesses: one adapter a scheme, or a named error."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from hsm_adapters.api import CreatableStore, HsmAdapter
from hsm_adapters.errors import AdapterNotFound, HsmConfigurationError
from hsm_adapters.uri import scheme_of

GROUP = "tessera.hsm_adapters"


def find_adapter(uri: str, *, installed: Iterable[EntryPoint] | None = None) -> type[HsmAdapter]:
    """Return the adapter class for a URI's scheme. Raises `AdapterNotFound` (none registered, or its library is
    missing: the text says what to install), `InvalidKeyUri`, `HsmConfigurationError`."""
    scheme = scheme_of(uri)
    found = list(entry_points(group=GROUP) if installed is None else installed)
    # An editable install can list the same entry point twice; two different values are a conflict.
    named = {entry.value: entry for entry in found if entry.name == scheme}
    if not named:
        known = ", ".join(sorted({f"{entry.name}:" for entry in found})) or "none"
        raise AdapterNotFound(f"No adapter is registered for '{scheme}:'. Registered: {known}.")
    if len(named) > 1:
        raise HsmConfigurationError(
            f"Two packages register '{scheme}:': {', '.join(sorted(named))}. Remove one."
        )
    (entry,) = named.values()
    try:
        adapter = entry.load()
    except ImportError as error:
        package = entry.dist.name if entry.dist is not None else "tessera-gateway"
        missing = error.name or "a native library"
        raise AdapterNotFound(
            f"The adapter for '{scheme}:' needs {missing}, which is not installed. "
            f"Run: pip install '{package}[{scheme}]'"
        ) from error
    if not (isinstance(adapter, type) and issubclass(adapter, HsmAdapter)):
        raise HsmConfigurationError(f"{entry.value} is not an HsmAdapter.")
    return adapter


async def open_store(uri: str) -> HsmAdapter:
    """Open the key store of a URI. Raises `HsmConfigurationError` and its kinds, `HsmUnavailable`."""
    return await find_adapter(uri).open(uri)


async def create_store(uri: str) -> HsmAdapter:
    """Make the key store of a URI unless it is there, and open it; a store that cannot be made from here is only
    opened. Raises as `open_store`."""
    adapter = find_adapter(uri)
    if issubclass(adapter, CreatableStore):
        created = await adapter.create(uri)
        if not isinstance(created, HsmAdapter):
            raise HsmConfigurationError(f"{adapter.__name__}.create does not return an HsmAdapter.")
        return created
    return await adapter.open(uri)
