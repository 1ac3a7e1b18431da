"""The commands about keys, on a database that a Rollcall with a fuller configuration is using."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from desk import TEAMS, ManualClock

from bot.cli import main
from bot.config import Config, ConfigError
from bot.dispatch import Desk
from bot.ports import ApiKey, Store
from storage.database import ensure_schema, open_store

FOREIGN = "0" * 26
"""The id of a key that belongs to somebody else."""
FULL: dict[str, Any] = {**TEAMS, "organization": {"name": "Acme"}}


class Place:
    """A folder with a database, and the command line as somebody runs it without the file of `run`."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'rollcall.sqlite3'}"

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["key", *arguments], env={"ROLLCALL_DATABASE__URL": self.url})

    def store(self) -> Store:
        ensure_schema(self.url)
        return open_store(self.url)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)


async def started(place: Place) -> str:
    """The whole configuration was started with, and stopped; the organization's id."""
    desk = Desk(Config.model_validate(FULL), place.store(), ManualClock())
    await desk.start()
    await desk.store.close()
    return desk.organization_id


async def kept(place: Place, organization_id: str) -> tuple[list[str], list[str]]:
    """Slugs of the teams and skills there are."""
    store = place.store()
    try:
        return await store.read(
            lambda tx: (
                [team.slug for team in tx.members.teams(organization_id)],
                [skill.slug for skill in tx.members.skills(organization_id)],
            )
        )
    finally:
        await store.close()


def database_row(place: Place, query: str) -> list[tuple[Any, ...]]:
    """What SQLite itself answers."""
    with sqlite3.connect(place.url.removeprefix("sqlite:///")) as connection:
        return connection.execute(query).fetchall()


# These tests start loops of their own: the command line does, and can't from within one.


def test_key_commands_without_the_configuration_change_nothing_but_keys(place: Place) -> None:
    """Teams and skills of the running program stay, and so does the organization's name."""
    organization_id = asyncio.run(started(place))
    secret = place.run("create", "--name", "chatwoot")
    assert secret.exit_code == 0, secret.output
    key_id = secret.output.split("_")[1]
    assert key_id in place.run("list").output
    assert place.run("revoke", key_id).output == f"Revoked {key_id}.\n"
    assert asyncio.run(kept(place, organization_id)) == (["support", "billing"], ["german"])
    assert database_row(place, "SELECT slug, name FROM organization") == [("default", "Acme")]


def test_a_key_made_before_the_first_start_belongs_to_what_is_started(place: Place) -> None:
    assert place.run("list").output == ""
    assert place.run("create", "--name", "chatwoot").exit_code == 0
    organization_id = asyncio.run(started(place))
    assert database_row(place, "SELECT organization_id FROM api_key") == [(organization_id,)]


def test_revoking_is_audited_and_only_reaches_the_own_organization(place: Place) -> None:
    key_id = place.run("create", "--name", "chatwoot").output.split("_")[1]
    start = datetime(2026, 1, 1, tzinfo=UTC)

    async def another() -> None:
        store = place.store()

        def add(tx: Any) -> None:
            other = tx.members.ensure_organization("other", "Other", start)
            tx.ledger.add_key(ApiKey(FOREIGN, other, "theirs", ("read",), b"", start))

        await store.write(add)
        await store.close()

    asyncio.run(another())
    refused = place.run("revoke", FOREIGN)
    assert refused.exit_code == 1
    assert f"There is no active key {FOREIGN}." in refused.output
    assert place.run("revoke", key_id).exit_code == 0
    assert place.run("revoke", key_id).exit_code == 1
    assert database_row(place, "SELECT action, subject FROM audit ORDER BY id") == [
        ("key.created", f"key:{key_id}"),
        ("key.revoked", f"key:{key_id}"),
    ]


@pytest.mark.parametrize("called", ["{id}", "rc_{id}", "rc_{id}_", "{key}", "  {key}\n"])
def test_a_key_is_revoked_by_its_id_or_by_itself(place: Place, called: str) -> None:
    """However it was copied, nothing but its id is told."""
    key = place.run("create", "--name", "chatwoot").output.strip()
    key_id, secret = key.split("_")[1:]
    for code, told in ((0, f"Revoked {key_id}.\n"), (1, f"There is no active key {key_id}. ")):
        result = place.run("revoke", called.format(id=key_id, key=key))
        assert result.exit_code == code
        assert result.output.startswith(told)
        assert secret[:6] not in result.output


@pytest.mark.parametrize(
    "wrong", ["", "rc_", "chatwoot", "canary" * 12, f"rc_{'a' * 25}_canary", "rc_canary"]
)
def test_what_is_no_key_is_not_told(place: Place, wrong: str) -> None:
    """It may be most of one."""
    result = place.run("revoke", wrong)
    assert result.exit_code == 1
    assert result.output.startswith("That is no key's id: 26 small letters and digits.")
    assert "canary" not in result.output


def test_the_demo_tells_what_it_can_not_do_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, and not success."""

    def refuse(folder: Path, port: int) -> Config:
        raise ConfigError("http.port: write a number.")

    monkeypatch.setattr("adapters.console.demo.configuration", refuse)
    result = CliRunner().invoke(main, ["demo", "--seconds", "0"])
    assert (result.exit_code, result.output) == (1, "http.port: write a number.\n")


def test_a_key_past_its_day_is_listed_as_expired(place: Place) -> None:
    place.run("create", "--name", "lasting")
    place.run("create", "--name", "coming", "--days", "3650")
    now = datetime(2026, 1, 1, tzinfo=UTC)

    async def past() -> None:
        store = place.store()

        def add(tx: Any) -> None:
            organization_id = tx.members.organization("default")
            gone = now - timedelta(days=1)
            tx.ledger.add_key(ApiKey("0", organization_id, "gone", ("read",), b"", gone, now))

        await store.write(add)
        await store.close()

    asyncio.run(past())
    states = {line.split()[-1]: line.split("  ")[1] for line in place.run("list").output.splitlines()}
    assert states["gone"] == "expired 2026-01-01"
    assert states["lasting"] == "active"
    assert states["coming"].startswith("expires ")


def test_a_key_is_rotated_and_both_are_shown_in_the_list(place: Place) -> None:
    old = place.run("create", "--name", "chatwoot").output.strip()
    rotated = place.run("rotate", old, "--overlap", "1h30m")
    assert rotated.exit_code == 0, rotated.output
    new = rotated.output.strip()
    assert new[:29] == old[:29] and new != old
    (line,) = place.run("list").output.splitlines()
    assert "rotated " in line and "old secret until " in line
    assert new[30:36] not in line and old[30:36] not in line
    assert place.run("rotate", new[3:29], "--overlap", "0s").exit_code == 0
    assert "old secret over since " in place.run("list").output
    assert [action for (action,) in database_row(place, "SELECT action FROM audit ORDER BY id")] == [
        "key.created",
        "key.rotated",
        "key.rotated",
    ]


@pytest.mark.parametrize(
    ("overlap", "told"),
    [
        ("31d", "0 s to 30 days more, such as 24h"),
        ("soon", "--overlap: write a length of time such as 90s"),
        ("", "--overlap: write a length of time such as 90s"),
        ("9" * 40 + "d", "--overlap: is longer than anybody waits"),
    ],
)
def test_an_overlap_that_is_none_changes_nothing(place: Place, overlap: str, told: str) -> None:
    key = place.run("create", "--name", "chatwoot").output.strip()
    before = database_row(place, "SELECT * FROM api_key")
    result = place.run("rotate", key, "--overlap", overlap)
    assert (result.exit_code, told in result.output) == (1, True), result.output
    assert database_row(place, "SELECT * FROM api_key") == before


def test_only_a_key_that_stands_is_rotated(place: Place) -> None:
    key_id = place.run("create", "--name", "chatwoot").output.split("_")[1]
    place.run("revoke", key_id)
    for named in (key_id, FOREIGN):
        result = place.run("rotate", named)
        assert (result.exit_code, result.output) == (1, "There is no such key that still counts.\n")
    assert place.run("rotate", "canary").output.startswith("That is no key's id")


def test_a_key_of_some_teams_says_so_in_the_list(place: Place) -> None:
    asyncio.run(started(place))
    made = place.run("create", "--name", "desk", "--team", "billing", "--team", "support")
    assert made.exit_code == 0, made.output
    assert "  read  teams support,billing  " in place.run("list").output
    wrong = place.run("create", "--name", "desk", "--team", "sales")
    assert (wrong.exit_code, wrong.output) == (1, "There is no team sales. Known: support, billing.\n")
    assert len(place.run("list").output.splitlines()) == 1
