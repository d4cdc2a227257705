"""What the bank says on an open channel without being asked: requests, how they ended, how many messages are unread. A
request is kept as the bytes that came, which are what is signed, beside what they say."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from gateway.core.clock import Clock
from gateway.phone.errors import UnexpectedAnswer
from gateway.protocol import messages
from gateway.protocol.approval import Statement, parse_statement
from gateway.protocol.errors import MalformedMessage

LONGEST_LIFE_S = 600.0
"""How long a request stays that this client can't read, and so does not know the end of."""
_ENDS_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request: what the customer reads and signs (`statement`, None when this client is too old to show it, and then
    nothing can be signed; `raw` are its bytes), with what it may be approved, which number is asked for, and its end
    by this phone's clock."""

    id: bytes
    statement: Statement | None
    raw: bytes
    factors: tuple[messages.Factor, ...]
    number: messages.NumberMatch
    numbers: tuple[int, ...]
    expires_at: float

    @classmethod
    def read(cls, message: messages.Ask, *, now: float) -> Self:
        """Read a request that came at `now` (Unix seconds). Raises UnexpectedAnswer when it does not fit together."""
        if (message.number == "choose") != bool(message.numbers):
            raise UnexpectedAnswer("a request whose numbers don't fit")
        statement = read_statement(message.statement, id=message.id)
        # By the gateway's time of this message, since the phone's clock may be set wrong.
        life = LONGEST_LIFE_S if statement is None else statement.expires - message.time
        return cls(
            id=bytes(message.id),
            statement=statement,
            raw=bytes(message.statement),
            factors=message.factors,
            number=message.number,
            numbers=message.numbers,
            expires_at=now + life,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PastApproval:
    """A request of the past. `statement` is None when this client is too old to show it; `at` is when it ended (Unix
    seconds), `here` whether it was answered on this phone."""

    id: bytes
    statement: Statement | None
    state: messages.ApprovalEnd
    at: int
    here: bool


@dataclass(frozen=True, slots=True)
class PastPage:
    """Requests of the past, newest first, and whether there are older ones."""

    items: tuple[PastApproval, ...]
    more: bool

    @classmethod
    def read(cls, page: messages.ApprovalPage) -> Self:
        """Read a page. Raises UnexpectedAnswer when it does not fit together."""
        items = (
            PastApproval(
                id=bytes(item.id),
                statement=read_statement(item.statement, id=item.id),
                state=item.state,
                at=item.at,
                here=item.here,
            )
            for item in page.items
        )
        return cls(tuple(items), page.more)


def read_statement(raw: bytes, *, id: bytes) -> Statement | None:
    """Return what the bytes say, None when this client is too old for them. Raises UnexpectedAnswer when they are not
    of the request `id`."""
    try:
        statement = parse_statement(raw)
    except MalformedMessage:
        return None
    if statement.id != id:
        raise UnexpectedAnswer("a statement of another request")
    return statement


class News:
    """What one channel was told. `unread` is None until the gateway has said."""

    def __init__(self, clock: Clock) -> None:
        self.unread: int | None = None
        self._clock = clock
        self._asks: dict[bytes, Ask] = {}
        self._ends: dict[bytes, messages.ApprovalEnd] = {}
        self._given: set[bytes] = set()

    def hear(self, message: messages.GatewayMessage) -> None:
        """Take one message. Wake-ups and biometrics are heard and left alone: a command line has neither. Raises
        UnexpectedAnswer when a request does not fit together."""
        if isinstance(message, messages.Ask):
            ask = Ask.read(message, now=self._clock.now())
            if ask.id not in self._ends:
                self._asks[ask.id] = ask
        elif isinstance(message, messages.Settled):
            self.settle(bytes(message.id), message.state)
        elif isinstance(message, messages.Unread):
            self.unread = message.count

    @property
    def waiting(self) -> list[Ask]:
        """The requests that wait for an answer; the one that ends first in front."""
        now = self._clock.now()
        live = (ask for ask in self._asks.values() if ask.expires_at > now)
        return sorted(live, key=lambda ask: ask.expires_at)

    @property
    def given(self) -> frozenset[bytes]:
        """The ids of the requests that `take` returned."""
        return frozenset(self._given)

    def pass_over(self, ids: Iterable[bytes]) -> None:
        """Don't `take` these, which an earlier channel of this phone gave out."""
        self._given.update(ids)

    def take(self) -> Ask | None:
        """Return a request that waits and was not returned before, or None."""
        for ask in self.waiting:
            if ask.id not in self._given:
                self._given.add(ask.id)
                return ask
        return None

    def end_of(self, id: bytes) -> messages.ApprovalEnd | None:
        """Return how a request ended, None while that is not known."""
        return self._ends.get(id)

    def settle(self, id: bytes, state: messages.ApprovalEnd) -> None:
        """A request is over."""
        self._asks.pop(id, None)
        self._ends[id] = state
        while len(self._ends) > _ENDS_KEPT:
            del self._ends[next(iter(self._ends))]
