"""The HTTP side with a fake recorder: behind a real server, or in-process."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fakes.http_server import RunningServer, running_server
from fakes.recorder import FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.app import create_app
from agent.http.settings import HttpSettings


@pytest.fixture
async def recorder() -> AsyncIterator[FakeRecorder]:
    async with FakeRecorder.open() as recorder:
        yield recorder


@pytest.fixture
def client(recorder: FakeRecorder) -> TrioClient:
    client = create_app(recorder, HttpSettings()).test_client()
    assert isinstance(client, TrioClient)
    return client


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server
