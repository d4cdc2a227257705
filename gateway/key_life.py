"""The composition of the life of keys: who names which keys, and the services over them and every sealed column.
The application runs the re-wrap of it, the commands `tessera keys rotate`, `retire` and `migrate` the rest."""

from collections.abc import Callable
from functools import partial

from gateway.activation import store as activations
from gateway.audit.vouchers import keep_voucher, make_voucher
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.devices import store as devices
from gateway.installation import Installation
from gateway.keys.labels import KeyPurpose
from gateway.keys.life import KeyLife, Use, Vouch
from gateway.keys.migration import LifeDesk, Migration
from gateway.keys.rewrap import Rewrapper
from gateway.keys.sealer import SealedAgreementKeys
from gateway.keys.stores import TwoStores
from gateway.push import store as pushes
from gateway.sealed_columns import SEALED
from hsm_adapters.api import HsmAdapter, KeyInfo

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
        seeds=installation.seeds,
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
