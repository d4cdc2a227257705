"""What a caller reads of a request that is not valid: JSON's words, and nothing of what was sent."""

from typing import Annotated

import msgspec
import pytest

from gateway.http.endpoint import describe_invalid


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    life: Annotated[int, msgspec.Meta(ge=60)] = 60
    share: float = 0.5
    note: str | None = None
    yes: bool = False
    items: list[str] = []


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b'{"name":1}', "Expected a text, got a whole number - at `$.name`"),
        (b'{"name":"","life":"x"}', "Expected a whole number, got a text - at `$.life`"),
        (b'{"name":"","life":1.5}', "Expected a whole number, got a number - at `$.life`"),
        (b'{"name":"","life":3}', "Expected a whole number >= 60 - at `$.life`"),
        (b'{"name":"","share":true}', "Expected a number, got true or false - at `$.share`"),
        (b'{"name":"","note":[]}', "Expected a text or null, got a list - at `$.note`"),
        (b'{"name":"","yes":null}', "Expected true or false, got null - at `$.yes`"),
        (b'{"name":"","items":{}}', "Expected a list, got an object - at `$.items`"),
        (b"{}", "Object missing required field `name`"),
        (b'{"name":"","str":1}', "Object contains unknown field `str`"),
    ],
)
def test_types_are_those_of_json(sent: bytes, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(sent, type=_Body)
    assert describe_invalid(caught.value) == said
