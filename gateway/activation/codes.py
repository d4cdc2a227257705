"""What the screen shows at a moment: the activation code of the rotation in force, or code 2 once the device code is
confirmed. The routes ask for it. The image and its link carry the secret; nothing here is logged or stored."""

from dataclasses import dataclass, field
from typing import Literal

from gateway.activation.models import Activation, ActivationPolicy, ActivationState
from gateway.activation.ports import GatewayKeys, Sealing
from gateway.activation.secrets import derive_nonce, derive_typed_code, open_seed, raw_id
from gateway.codes import Form, Symbol, alt_text, render
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.protocol.code import ActivationCode, make_link, show_code2_nonce
from gateway.protocol.keys import compress, one_time_key, rotation_at
from hsm_adapters.errors import KeyNotFound

CodeKind = Literal["activation", "code2"]
_RETIRED = "the bank's key that this activation began with is gone"
_RETIRED_STEP = "Start another activation."


@dataclass(frozen=True, slots=True)
class ShownCode:
    """A symbol to draw, with what stands beside it. `rotation` and `next_in_ms` are None for a code that does not
    turn."""

    kind: CodeKind
    form: Form
    rotation: int | None
    next_in_ms: int | None
    expires_at: int
    symbol: Symbol = field(repr=False)
    alt_fr: str
    alt_en: str
    link: str = field(repr=False)
    typed: str = field(repr=False)


class CodeService:
    """Draws codes. One for the process."""

    def __init__(
        self,
        *,
        clock: Clock,
        sealer: Sealing,
        keys: GatewayKeys,
        policy: ActivationPolicy,
        host: str,
        scheme: str,
    ) -> None:
        self._clock = clock
        self._sealer = sealer
        self._keys = keys
        self._policy = policy
        self._host = host
        self._scheme = scheme

    async def show(self, activation: Activation, form: Form, *, host: str | None = None) -> ShownCode:
        """Return the code to show now. Its link leads to `host`, by default the public one, as the QR always does.
        Raises Problem(CONFLICT) when there is none: the phone needs no code, or is bound, or the key that the code was
        made with is gone."""
        seed = await open_seed(self._sealer, activation)
        if activation.state is ActivationState.CONFIRMED:
            if not activation.is_two_step or activation.code2 is None:
                raise Problem(ProblemCode.CONFLICT, "no code is needed now: the phone is confirmed")
            typed = show_code2_nonce(derive_nonce(seed, raw_id(activation)))
            return self._draw(activation, "code2", form, activation.code2, typed=typed, host=host)
        now_ms = int(self._clock.now() * 1000)
        period_ms = self._policy.rotation_s * 1000
        rotation = 0
        if activation.is_rotating:
            rotation = rotation_at(now_ms, created_ms=activation.created_at, period_ms=period_ms)
        code = ActivationCode(
            activation_id=raw_id(activation),
            otk=one_time_key(seed, activation_id=raw_id(activation), rotation=rotation),
            gateway_public=await self._gateway_public(activation),
            expiry=activation.expiry_s,
            rotation=rotation,
        )
        turns = None
        if activation.is_rotating:
            turns = rotation, max(activation.created_at + (rotation + 1) * period_ms - now_ms, 0)
        typed = derive_typed_code(seed, raw_id(activation)).show()
        return self._draw(activation, "activation", form, code.pack(), typed=typed, host=host, turns=turns)

    async def _gateway_public(self, activation: Activation) -> bytes:
        try:
            return compress(await self._keys.public_key(activation.gateway_label))
        except KeyNotFound:
            raise Problem(ProblemCode.CONFLICT, _RETIRED, next_step=_RETIRED_STEP) from None

    def _draw(
        self,
        activation: Activation,
        kind: CodeKind,
        form: Form,
        payload: bytes,
        *,
        typed: str,
        host: str | None,
        turns: tuple[int, int] | None = None,
    ) -> ShownCode:
        public = make_link(self._host, payload, scheme=self._scheme)
        return ShownCode(
            kind=kind,
            form=form,
            rotation=turns[0] if turns else None,
            next_in_ms=turns[1] if turns else None,
            expires_at=activation.expires_at,
            symbol=render(payload, form=form, text=public),
            alt_fr=alt_text(kind, "fr"),
            alt_en=alt_text(kind, "en"),
            link=public if host is None or host == self._host else make_link(host, payload, scheme="http"),
            typed=typed,
        )
