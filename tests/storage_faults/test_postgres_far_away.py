"""A PostgreSQL some milliseconds away: what a transaction costs is counted in round trips, not statements."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace
from storage_faults.stores import START, event, filled, toggled

from bot.domain.agent import Agent, Team
from bot.domain.facts import Facts
from bot.ports import Transaction
from storage.database import open_store


class Between:
    """Passes on what either side sends, and counts how often the client speaks after the server did."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._last = ""
        self.port: int = self._listening.getsockname()[1]
        self.round_trips = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No further connection."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                for here, there, name in ((client, server, "client"), (server, client, "server")):
                    threading.Thread(target=self._pump, args=(here, there, name), daemon=True).start()

    def _pump(self, here: socket.socket, there: socket.socket, name: str) -> None:
        with suppress(OSError):  # one side went
            while sent := here.recv(65_536):
                if name == "client" and self._last == "server":
                    self.round_trips += 1
                self._last = name
                there.sendall(sent)
        with suppress(OSError):
            there.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def between(postgres_empty: str) -> Iterator[Between]:
    """Between the store and the server."""
    (folder,) = parse_qs(urlsplit(postgres_empty).query)["host"]
    proxy = Between(f"{folder}/.s.PGSQL.5432")
    yield proxy
    proxy.close()


async def test_what_is_read_behind_many_writes_is_the_answer_to_what_was_asked(postgres_empty: str) -> None:
    """The server sends some 8 kB of answers by itself, before anything asks for them."""
    store = open_store(postgres_empty)
    try:
        small = await filled(store)
        slugs = tuple(f"a-team-with-some-longer-name-{number}" for number in range(240))
        teams = [Team(slug, slug) for slug in slugs]
        await store.write(lambda tx: tx.members.save_teams(small.organization_id, teams, START))
        for many in range(160, 240, 10):

            def operation(tx: Transaction, many: int = many) -> Agent | None:
                tx.members.save(replace(small.agents[0], teams=slugs[:many]), START)
                time.sleep(0.03)  # the answers come in
                return tx.members.agent(small.agents[0].id)

            found = await store.write(operation)
            assert found is not None
            assert found.teams == slugs[:many]
    finally:
        await store.close()


async def test_what_a_transaction_writes_takes_the_same_few_round_trips_however_much_it_is(
    postgres_empty: str, between: Between
) -> None:
    """20 agents' changes in one transaction: facts, intervals, events; some hundred statements."""
    database = urlsplit(postgres_empty).path
    store = open_store(f"postgresql://postgres@127.0.0.1:{between.port}{database}?sslmode=disable")
    small = await filled(store, agents=20)

    def read(tx: Transaction) -> list[Facts]:
        return [facts for _, facts in tx.members.everyone(small.organization_id)]

    everyone = await store.read(read)

    def change(tx: Transaction) -> None:
        for number, facts in enumerate(everyone):
            after, intervals = toggled(facts, START + timedelta(hours=1))
            tx.presence.save(facts, after, intervals)
            tx.ledger.events([event(small.organization_id, facts.agent_id, number)])

    await store.read(lambda tx: None)
    before = between.round_trips
    await store.write(change)
    assert between.round_trips - before <= 4
    assert len(await store.read(lambda tx: tx.ledger.events_after(small.organization_id, 0, 100))) == 20
    await store.close()
