"""How a capability speaks on the open channel of a binding without knowing who serves it: it hands in a `ChannelPart`,
and gets a `ChannelContext` with each message. The devices hold the channels; the composition root hands the parts in.
A part keeps nothing of a channel: thousands are open at once."""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol import messages


class ChannelContext(Protocol):
    """One open channel."""

    @property
    def ref(self) -> BindingRef:
        """Whose channel it is."""
        ...

    @property
    def lang(self) -> messages.Lang:
        """The language that the phone speaks."""
        ...

    @property
    def handshake_hash(self) -> bytes:
        """h, 32 bytes: what signatures are bound to."""
        ...

    @property
    def pin(self) -> Any:
        """The PIN's conversation on this channel (`gateway.pin.dialogue.PinDialogue`); a part names by a Protocol of
        its own what it asks of it."""
        ...

    async def tell(self, message: messages.GatewayMessage) -> None:
        """Send a message if the phone is still there."""
        ...


class ChannelPart(Protocol):
    """What one capability says on open channels. One for the process."""

    @property
    def handles(self) -> tuple[type[Any], ...]:
        """The types of the phone's messages that it answers."""
        ...

    def greet(self, tx: Transaction, ref: BindingRef) -> Sequence[messages.GatewayMessage]:
        """Return what a phone that has just opened its channel is told: what waits for it. Read in one unit with all
        other parts."""
        ...

    async def answer(self, context: ChannelContext, message: Any) -> messages.GatewayMessage:
        """Answer one of its messages. Raises ProtocolError kinds for what is not valid here, Problem, HsmError."""
        ...


class Channels(Protocol):
    """Who is connected to this process."""

    def of_binding(self, binding_id: str) -> ChannelContext | None:
        """Return the open channel of a binding."""
        ...

    def of_topic(self, topic: str) -> Sequence[ChannelContext]:
        """Return the open channels of one customer's phones (`BindingRef.topic`)."""
        ...
