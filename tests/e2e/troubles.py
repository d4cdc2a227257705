"""What may go wrong in the middle of a flow, for as long as a `with` block lasts: a network that is lost, or a gateway
killed as by a power cut."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from gateway_process import GatewayProcess
from people import Person

Trouble = Literal["network lost", "gateway killed"]
MakeTrouble = Callable[..., AbstractContextManager[None]]
"""Called with the people whose network is lost; a killed gateway is lost to all."""


@contextmanager
def _network_lost(*people: Person) -> Iterator[None]:
    for person in people:
        person.page.context.set_offline(True)
    try:
        yield
    finally:
        for person in people:
            person.page.context.set_offline(False)


def maker_of(trouble: Trouble, gateway: GatewayProcess) -> MakeTrouble:
    """Return what makes this trouble."""

    @contextmanager
    def gateway_killed(*_: Person) -> Iterator[None]:
        gateway.stop(kill=True)
        try:
            yield
        finally:
            gateway.start()

    return gateway_killed if trouble == "gateway killed" else _network_lost
