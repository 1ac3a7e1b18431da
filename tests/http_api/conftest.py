"""One running API for all the questions that change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from http_house import House, house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked_only() -> AsyncIterator[House]:
    """An API with one agent, Ann, whom another system knows as `ext:desk:ann`; leave it as it is."""
    async with house() as at:
        ann = await at.agent("Ann")
        path = f"/v1/agents/{ann.id}/external-ids/desk"
        named = await at.ask(path, method="PUT", scope="admin", json={"external_id": "ann"})
        assert named.status_code == 200
        yield at
