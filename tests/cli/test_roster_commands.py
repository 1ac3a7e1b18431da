"""`rollcall who`, `export` and `apply` as they are typed, on databases that are there and that are not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from roster_house import FILE, SAM

from bot.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roster.toml").write_text(FILE)
    return tmp_path


def run(*words: str, typed: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=typed)


def test_looking_and_a_dry_run_make_no_database(folder: Path) -> None:
    assert "Nobody is an agent here yet." in run("who").output
    assert "[[agent]]" not in run("export").output
    dry = run("apply", "roster.toml", "--dry-run")
    assert dry.output.splitlines()[-2:] == [
        "Sam (slack:T1:U2): enrolled",
        "That is what would change. Nothing was changed.",
    ]
    assert [one.name for one in folder.iterdir()] == ["roster.toml"]


def test_a_refused_file_makes_no_database(folder: Path) -> None:
    refused = run("apply", "-", typed="[[agent]]\nname = 'A'\n")
    assert (refused.exit_code, refused.output) == (
        1,
        '[[agent]] 1 (A), accounts is missing, as in accounts = ["slack:T012AB3CD:U012AB3CD"].\n'
        "Nothing was changed.\n",
    )
    assert [one.name for one in folder.iterdir()] == ["roster.toml"]


def test_what_is_exported_is_applied_from_standard_input(folder: Path) -> None:
    assert run("apply", "roster.toml").exit_code == 0
    exported = run("export").output
    assert run("apply", "-", typed=exported).output == (
        "Nothing to change: the roster is what the file says.\n"
    )
    assert run("who", "Billing").output.splitlines()[0] == "Billing: 0 available, 0 away, 1 offline"
    unknown = run("who", "nights")
    assert (unknown.exit_code, unknown.output) == (
        1,
        "There is no team nights. There are: support, billing.\n",
    )


def test_who_is_removed_by_pruning_is_named(folder: Path) -> None:
    run("apply", "roster.toml")
    done = run("apply", "-", "--prune", typed=SAM)
    assert done.output.splitlines()[-1].startswith("Alex (agt_")
    assert "[[team]]" not in run("export").output


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("missing.toml", "missing.toml can't be read: No such file or directory. Nothing was changed.\n"),
        ("latin.toml", "latin.toml is no text in UTF-8. Nothing was changed.\n"),
    ],
)
def test_a_file_that_can_not_be_read_is_told(folder: Path, file: str, told: str) -> None:
    (folder / "latin.toml").write_bytes(b'name = "\xe4"')
    refused = run("apply", file)
    assert (refused.exit_code, refused.output) == (1, told)


def test_whoever_has_no_account_is_left_out_and_named(folder: Path) -> None:
    run("apply", "roster.toml")
    with closing(sqlite3.connect("rollcall.sqlite3", isolation_level=None)) as database:
        database.execute("DELETE FROM identity WHERE external_id = 'U2'")
    exported = run("export")
    assert exported.stderr.startswith("Left out, because they have no account to be known by: Sam (agt_")
    assert "Sam" not in exported.stdout
    run("apply", "-", "--prune", typed=exported.stdout)
    assert "2 offline" in run("who").output, "whom no file can name, none removes"
