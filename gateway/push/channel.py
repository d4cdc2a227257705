"""Wake-ups on the phone's channel: the gateway's key when it opens, a subscription, its end. A `ChannelPart`."""

from collections.abc import Sequence
from typing import Any, ClassVar

from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.http.parts import ChannelContext
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.wiretypes import Bytes65
from gateway.push.service import PushService
from gateway.push.vapid import Vapid


class PushPart:
    """One for the process."""

    handles: ClassVar[tuple[type[Any], ...]] = (messages.PushSubscribe, messages.PushUnsubscribe)

    def __init__(self, *, service: PushService, vapid: Vapid) -> None:
        self._service = service
        self._vapid = vapid

    def greet(self, tx: Transaction, ref: BindingRef) -> Sequence[messages.GatewayMessage]:
        """Tell the key, and whether there is a subscription."""
        return [
            messages.PushKey(
                key=Bytes65(self._vapid.public_key), subscribed=self._service.is_subscribed(tx, ref)
            )
        ]

    async def answer(self, context: ChannelContext, message: Any) -> messages.GatewayMessage:
        """Answer one message. Raises OutOfTurn, Problem(INVALID_REQUEST) for an endpoint that may not be called,
        `InvalidPoint`, HsmError."""
        match message:
            case messages.PushSubscribe():
                await self._service.subscribe(
                    context.ref,
                    endpoint=message.endpoint,
                    p256dh=message.p256dh,
                    auth=message.auth,
                    key_label=self._vapid.label,
                )
                return messages.PushSubscribed(subscribed=True)
            case messages.PushUnsubscribe():
                await self._service.unsubscribe(context.ref)
                return messages.PushSubscribed(subscribed=False)
            case _:
                raise OutOfTurn("not a message of wake-ups")
