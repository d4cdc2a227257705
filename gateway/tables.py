"""Every table there is: importing this module declares all of them on `gateway.storage.schema.metadata`. The
composition root and the tests of the migrations need them together; nothing else does."""

from gateway.activation import store as _activation
from gateway.approvals import policy_store as _policies
from gateway.approvals import store as _approvals
from gateway.audit import store as _audit
from gateway.biometrics import store as _biometrics
from gateway.bus import store as _bus
from gateway.devices import store as _devices
from gateway.http import idempotency as _idempotency
from gateway.inbox import store as _inbox
from gateway.pin import store as _pin
from gateway.push import store as _push
from gateway.storage.schema import metadata
from gateway.tenants import store as _tenants
from gateway.webhooks import store as _webhooks

__all__ = ["metadata"]

_STORES = (
    *(_activation, _approvals, _audit, _biometrics, _bus, _devices, _idempotency),
    *(_inbox, _pin, _policies, _push, _tenants, _webhooks),
)
