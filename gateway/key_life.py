"""The composition of the life of keys: every sealed column there is, who names which keys, and the services over them.
The application runs the re-wrap of it, the commands `tessera keys rotate`, `retire` and `migrate` the rest."""

from collections.abc import Callable
from functools import partial

from gateway.activation import secrets as activation_cells
from gateway.activation import store as activations
from gateway.approvals import cells as approval_cells
from gateway.audit.vouchers import keep_voucher, make_voucher
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.devices import cells as device_cells
from gateway.devices import store as devices
from gateway.installation import Installation
from gateway.keys.labels import KeyPurpose
from gateway.keys.life import KeyLife, Use, Vouch
from gateway.keys.migration import LifeDesk, Migration
from gateway.keys.rewrap import Rewrapper
from gateway.keys.sealed import SealedColumn
from gateway.keys.sealer import SealedAgreementKeys
from gateway.keys.stores import TwoStores
from gateway.pin import cells as pin_cells
from gateway.push import service as push_service
from gateway.push import store as pushes
from gateway.webhooks import service as webhook_service
from hsm_adapters.api import HsmAdapter, KeyInfo

SEALED: tuple[SealedColumn, ...] = (
    *activation_cells.SEALED,
    *approval_cells.SEALED,
    *device_cells.SEALED,
    *pin_cells.SEALED,
    *push_service.SEALED,
    *webhook_service.SEALED,
)
"""Every sealed column. `tests/contracts/test_sealed_columns.py` holds it against the tables."""

USES = {
    KeyPurpose.AGREE: (
        Use("bound phones", devices.count_under_label),
        Use("open activations", activations.count_open_under_label),
    ),
    KeyPurpose.PUSH: (Use("subscriptions to wake-ups", pushes.count_of_key),),
}


def make_rewrapper(installation: Installation) -> Rewrapper:
    """Return the re-wrap of an open installation."""
    return Rewrapper(
        storage=installation.storage,
        sealer=installation.sealer,
        keys=SealedAgreementKeys(installation.adapter),
        ring=installation.ring,
        columns=SEALED,
        clock=installation.clock,
    )


def make_key_life(installation: Installation) -> KeyLife:
    """Return what rotates and retires the keys of an open installation."""
    return KeyLife(
        adapter=installation.adapter,
        ring=installation.ring,
        storage=installation.storage,
        journal=installation.journal,
        clock=installation.clock,
        rewrapper=make_rewrapper(installation),
        uses=USES,
        vouch=_vouching(installation.adapter),
    )


def make_migration(installation: Installation) -> Migration:
    """Return the move of an open installation. Raises Problem(CONFLICT) when its settings name one key store alone."""
    if not isinstance(installation.adapter, TwoStores):
        raise Problem(ProblemCode.CONFLICT, "the settings name no hsm_previous")
    return Migration(
        life=make_key_life(installation),
        stores=installation.adapter,
        columns=SEALED,
        tenants=partial(_list_tenants, installation),
        clock=installation.clock,
    )


def make_desk(installation: Installation) -> LifeDesk:
    """Return what the commands work with."""
    return LifeDesk(
        life=make_key_life(installation),
        migration=partial(make_migration, installation),
        tenants=partial(_list_tenants, installation),
    )


async def _list_tenants(installation: Installation) -> list[str]:
    return [tenant.id for tenant in await installation.tenants.list()]


def _vouching(adapter: HsmAdapter) -> Vouch:
    async def vouch(retired: KeyInfo, signer: str) -> Callable[[Transaction], None]:
        voucher = await make_voucher(adapter, retired, signer=signer)
        return lambda tx: keep_voucher(tx, voucher)

    return vouch
