"""Row 4: a damaged file is refused before anything is written to it, and the runbook is named."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from storage_faults.stores import filled

from bot.domain.errors import RollcallError
from storage import admin, schema
from storage.database import ensure_schema, open_inline, open_store
from storage.errors import Unusable

RUNBOOK = 'docs/operations.md, "The database file is damaged"'
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(sqlite_url: str) -> Path:
    """A database with something in it."""

    async def fill() -> None:
        store = open_store(sqlite_url)
        await filled(store, agents=200)
        await store.close()

    asyncio.run(fill())
    return Path(sqlite_url.removeprefix("sqlite:///"))


def flip(file: Path, start: int, length: int) -> None:
    """Every bit of so many bytes."""
    whole = bytearray(file.read_bytes())
    whole[start : start + length] = bytes(byte ^ 0xFF for byte in whole[start : start + length])
    file.write_bytes(whole)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "the header": lambda file: flip(file, 0, 16),
    "the schema": lambda file: flip(file, 100, 12),
    "a page of a table": lambda file: flip(file, _page_of(file, "presence"), 200),
    "the second half": lambda file: os.truncate(file, file.stat().st_size // 2),
}


def _page_of(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return (int(page) - 1) * int(size)


@pytest.mark.parametrize("part", list(DAMAGES))
def test_a_damaged_file_is_refused_by_everything_and_left_as_it_is(file: Path, part: str) -> None:
    DAMAGES[part](file)
    before = file.read_bytes()
    url = f"sqlite:///{file}"

    def start() -> None:
        ensure_schema(url)
        open_store(url)

    for use in (start, lambda: schema.upgrade(url), lambda: admin.backup(url, file.with_name("copy"))):
        with pytest.raises(Unusable) as refusal:
            use()
        assert RUNBOOK in refusal.value.sentence
        assert "damaged" in refusal.value.sentence
    assert file.read_bytes() == before
    assert not file.with_name("copy").exists()


def test_the_check_names_the_damage(file: Path) -> None:
    DAMAGES["a page of a table"](file)
    broken = [line for line in admin.check(f"sqlite:///{file}") if not line.startswith("ok")]
    assert broken
    assert all(line.startswith("BROKEN: ") for line in broken)


def test_the_runbook_is_there() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert re.search(r"^#+ The database file is damaged$", page, re.MULTILINE)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Sir or Madam,\n" * 100)
    with pytest.raises(Unusable, match="damaged"):
        ensure_schema(f"sqlite:///{file}")
    assert file.read_text().startswith("Dear Sir")


def test_a_folder_that_is_not_there_is_named_to_people(tmp_path: Path) -> None:
    with pytest.raises(
        Unusable, match=r"rollcall\.sqlite3 can't be made or opened \(No such file or directory\)"
    ):
        ensure_schema(f"sqlite:///{tmp_path}/nowhere/rollcall.sqlite3")


@pytest.mark.parametrize("url", ["mysql://root:hunter2@host/x", "hunter2", ""])
def test_an_address_of_another_kind_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Unusable) as refusal:
        open_store(url)
    assert refusal.value.field == "database.url"
    assert "sqlite:///" in refusal.value.sentence
    assert "hunter2" not in refusal.value.sentence


def test_a_database_in_memory_is_for_tests_only() -> None:
    with pytest.raises(Unusable, match="outlives"):
        open_store("sqlite://")
    asyncio.run(open_inline().close())


def test_a_new_database_is_its_owners_alone(sqlite_url: str) -> None:
    """Its journals too."""
    file = Path(sqlite_url.removeprefix("sqlite:///"))

    async def look() -> list[tuple[str, int]]:
        store = open_store(sqlite_url)
        await filled(store)
        modes = sorted((path.name, path.stat().st_mode & 0o777) for path in file.parent.iterdir())
        await store.close()
        return modes

    assert asyncio.run(look()) == [(f"{file.name}{end}", 0o600) for end in ("", "-shm", "-wal")]


def test_no_secret_of_an_address_is_in_an_error() -> None:
    """Row 35, as far as storage has a part."""
    with pytest.raises(RollcallError) as refusal:
        open_store("postgresql://rollcall:hunter2@127.0.0.1:1/rollcall?password=hunter2")
    told: BaseException | None = refusal.value
    while told is not None:
        assert "hunter2" not in str(told)
        told = told.__cause__ or told.__context__
    with pytest.raises(Unusable) as advice:
        admin.backup(
            "postgresql://rollcall:hunter2@db/rollcall?password=hunter2&sslmode=require", Path("x y")
        )
    assert advice.value.sentence.endswith(
        "pg_dump --format=custom --file='x y' 'postgresql://rollcall@db/rollcall?sslmode=require'"
    )
