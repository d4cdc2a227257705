"""The JSON of activations: what requests may say and what answers hold. The routes build and read these."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.activation.codes import ShownCode
from gateway.activation.models import Activation, ActivationState
from gateway.activation.page_tokens import IssuedToken
from gateway.codes import MAX_SCALE, Form, to_png, to_svg
from gateway.core.secrets import repr_without
from gateway.core.subjects import DeviceFacts

# `$` alone lets one line break through; \Z is no ECMA-262, which OpenAPI wants.
_PRINTABLE = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
User = Annotated[
    str,
    Meta(
        min_length=1, max_length=128, pattern=_PRINTABLE, description="The bank's own name for the customer."
    ),
]
Label = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=_PRINTABLE,
        description="What the phone shows, such as an account.",
    ),
]
PlatformName = Literal["web", "android", "ios", "cli"]
DeviceCode = Annotated[
    str, Meta(pattern=r"^[0-9]{4}[ -]?[0-9]{4}$(?!\n)", description="The eight digits on the phone.")
]


class NewActivation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to start. A code that does not rotate (a letter, a token) is always confirmed in two steps."""

    user: User
    label: Label
    two_step: bool = False
    life_s: Annotated[int, Meta(ge=60, le=86_400, description="Life in seconds; 300 unless set.")] | None = (
        None
    )
    rotating: bool = True
    platforms: Annotated[list[PlatformName], Meta(min_length=1, max_length=4)] = msgspec.field(
        default_factory=lambda: ["web", "android", "ios", "cli"]
    )
    suite: Literal["hybrid", "classical"] = "hybrid"
    approval: (
        Annotated[
            str,
            Meta(
                max_length=40,
                description="The approved request of type `device` by which a bound phone agreed to a further one; a "
                "move ends that phone's binding once the new one is active. It serves once.",
            ),
        ]
        | None
    ) = None


class TypedDeviceCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device code as the customer typed it."""

    code: DeviceCode

    def __repr__(self) -> str:
        return repr_without(self, "code")


class NewPageToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose phones the page may see and change."""

    user: User


class CodeParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to draw the code: as SVG for a page, or as PNG, `scale` pixels a module, for a letter or a mail."""

    form: Form = Form.COLOUR
    image: Literal["svg", "png"] = "svg"
    scale: Annotated[int, Meta(ge=1, le=MAX_SCALE)] = 8


class DeviceView(msgspec.Struct, frozen=True):
    """What the phone says of itself."""

    name: str
    model: str
    platform: str
    os: str
    place: str | None


class ActivationView(msgspec.Struct, frozen=True, kw_only=True):
    """An activation."""

    id: str
    user: str
    label: str
    state: ActivationState
    two_step: bool
    created_at: datetime
    expires_at: datetime
    device: DeviceView | None
    tries_left: int
    binding: str | None
    ended_reason: str | None


class StartedActivation(msgspec.Struct, frozen=True):
    """A fresh activation, and the token for the page that shows it."""

    activation: ActivationView
    page_token: str
    page_token_expires_at: datetime

    def __repr__(self) -> str:
        return repr_without(self, "page_token")


class AltText(msgspec.Struct, frozen=True):
    """The text alternative of the image."""

    fr: str
    en: str


class CodeView(msgspec.Struct, frozen=True, kw_only=True):
    """The code to show now, drawn as `svg` or as `png` (base64), whichever was asked for. `typed` is its form for those
    who cannot scan."""

    kind: Literal["activation", "code2"]
    form: Form
    rotation: int | None
    next_in_ms: int | None
    expires_at: datetime
    svg: str | msgspec.UnsetType = msgspec.UNSET
    png: bytes | msgspec.UnsetType = msgspec.UNSET
    alt: AltText
    link: str
    typed: str

    def __repr__(self) -> str:
        return repr_without(self, "svg", "png", "link", "typed")


class PageTokenView(msgspec.Struct, frozen=True):
    """A page token, told once."""

    page_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return repr_without(self, "page_token")


class TenantKey(msgspec.Struct, frozen=True):
    """A bank and its gateway key S (compressed point, base64url)."""

    id: str
    name: str
    s: str


class PhoneConfig(msgspec.Struct, frozen=True):
    """What the phone app pins."""

    host: str
    name: str
    tenants: list[TenantKey]


class TypedActivation(msgspec.Struct, frozen=True):
    """What a typed code's locator finds: the activation (16 bytes, base64url) and its end in Unix seconds."""

    activation: str
    tenant: str
    expires: int


def moment(millis: int) -> datetime:
    """Return a moment of Unix milliseconds in UTC."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def view(activation: Activation) -> ActivationView:
    """Return what may be told of an activation."""
    return ActivationView(
        id=activation.id,
        user=activation.user,
        label=activation.label,
        state=activation.state,
        two_step=activation.is_two_step,
        created_at=moment(activation.created_at),
        expires_at=moment(activation.expires_at),
        device=_device(activation.device),
        tries_left=activation.tries_left,
        binding=activation.binding_id if activation.state is ActivationState.ACTIVE else None,
        ended_reason=activation.ended_reason,
    )


def _device(device: DeviceFacts | None) -> DeviceView | None:
    if device is None:
        return None
    return DeviceView(device.name, device.model, device.platform, device.os, device.place)


def code_view(code: ShownCode, params: CodeParams) -> CodeView:
    """Return the JSON of a code, and draw it."""
    is_png = params.image == "png"
    return CodeView(
        kind=code.kind,
        form=code.form,
        rotation=code.rotation,
        next_in_ms=code.next_in_ms,
        expires_at=moment(code.expires_at),
        svg=msgspec.UNSET if is_png else to_svg(code.symbol, title=code.alt_en),
        png=to_png(code.symbol, scale=params.scale) if is_png else msgspec.UNSET,
        alt=AltText(fr=code.alt_fr, en=code.alt_en),
        link=code.link,
        typed=code.typed,
    )


def started_view(activation: Activation, token: IssuedToken) -> StartedActivation:
    """Return the answer to a start."""
    return StartedActivation(view(activation), token.text, moment(token.principal.expires_at))
