"""What the gateway needs of a key store, and what is missing in one. `tessera keys doctor` prints it, `tessera keys
migrate` refuses a store that lacks anything."""

from collections.abc import Sequence

from hsm_adapters.api import Examinable, HsmAdapter, OperationReport, WrappedAgreementKeys

NEEDED = {
    "sign": "the audit log's checkpoints and the wake-ups of phones",
    "ecdh": "the handshake with phones",
    "wrap": "secrets at rest",
    "unwrap": "secrets at rest",
    "generate wrapped agreement key": "the keys of PINs",
    "ecdh by wrapped agreement key": "the keys of PINs",
}
"""Operation → what for. Others (HMAC, random, keys from elsewhere) the gateway does not need to serve."""


async def examine(adapter: HsmAdapter, *, measure: bool) -> Sequence[OperationReport] | None:
    """Return what a store tells of itself, None for one that cannot be examined. Raises `HsmError`."""
    return await adapter.examine(measure=measure) if isinstance(adapter, Examinable) else None


def find_missing(adapter: HsmAdapter, reports: Sequence[OperationReport] | None) -> dict[str, str]:
    """Return what the gateway needs and a store does not do, with the reason. Of a store that was not examined only
    that is known which its class tells."""
    if reports is None:
        lacks = not isinstance(adapter, WrappedAgreementKeys)
        return {"generate wrapped agreement key": "the adapter does not have them"} if lacks else {}
    told = {report.operation: report for report in reports}
    missing = {}
    for operation in NEEDED:
        report = told.get(operation)
        if report is None or not report.is_supported:
            missing[operation] = "not told of" if report is None else report.how
    return missing
