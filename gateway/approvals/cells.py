"""The cell that a code's answer keys are sealed for, and that column as a `SealedColumn`."""

from gateway.approvals.store import offline_codes
from gateway.keys.sealed import SealedColumn
from gateway.keys.sealer import cell_context


def code_cell(approval_id: str, binding_id: str) -> dict[str, str]:
    """Return the cell of the answer keys of the code that a request shows to a phone."""
    return {"table": "approval_codes", "column": "keys", "row": f"{approval_id}#{binding_id}"}


_c = offline_codes.c
SEALED = (
    SealedColumn(
        _c["keys"],
        lambda row: cell_context(**code_cell(row["approval_id"], row["binding_id"])),
        (_c.binding_id,),
    ),
)
