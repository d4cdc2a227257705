"""Every sealed column there is, as the capabilities declare them: for the life of keys, and for who asks whether a
database holds anything that a key sealed."""

from gateway.activation import secrets as activation_cells
from gateway.approvals import cells as approval_cells
from gateway.devices import cells as device_cells
from gateway.keys.sealed import SealedColumn
from gateway.pin import cells as pin_cells
from gateway.push import service as push_service
from gateway.webhooks import service as webhook_service

SEALED: tuple[SealedColumn, ...] = (
    *activation_cells.SEALED,
    *approval_cells.SEALED,
    *device_cells.SEALED,
    *pin_cells.SEALED,
    *push_service.SEALED,
    *webhook_service.SEALED,
)
"""Every sealed column. `tests/contracts/test_sealed_columns.py` holds it against the tables."""
