"""What the load benches' tests stand on: a data directory with a port, and a gateway served from it."""

import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from gateway.app import create_app
from gateway.bench.load.installation import Ground
from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.settings import load

Serving = Callable[[Ground], contextlib.AbstractAsyncContextManager[None]]


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A data directory and a port."""
    with Ground.temporary() as made:
        yield made


@pytest.fixture
def serving() -> Serving:
    """Serves a gateway in this process's event loop."""

    @contextlib.asynccontextmanager
    async def serve(ground: Ground) -> AsyncIterator[None]:
        app = await create_app(load(None, ground.environment), clock=SystemClock(), random=system_random)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", ground.port).start()
            yield
        finally:
            await runner.cleanup()

    return serve
