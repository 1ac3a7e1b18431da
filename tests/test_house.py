"""The rules of the house that no linter knows: what may stand where, and that documents say what is so."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bot", "adapters", "storage")
RUN_DEMO = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/rollcall demo"
RUN_TESTS = "bash tests/run"
LONGEST = 400
LONGER_FOR_A_REASON = {
    "adapters/client/documents.py": "every answer of the API as a struct, in the order of the description",
    "adapters/http/documents.py": "the answers about agents and teams, with what each field means",
    "adapters/client/client.py": "one short method for each route, in the order of the description",
    "benchmarks/roster.py": "four measurements that share one made-up team",
    "storage/ledger.py": "one short method for each small memory, as the port has them",
    "storage/migrations/versions/0001_start.py": "every table at once; a migration is never edited again",
    "storage/tables.py": "every table on one page, because they are read against each other",
    "tests/domain/naive_presence.py": "a second implementation, whole so that it can be checked by eye",
    "tests/domain/test_presence.py": "a sentence or more for each rule, in the order of the rules",
    "tests/domain/test_presence_properties.py": "one generator of histories and the properties it feeds",
    "tests/http_api/test_http_team_keys.py": "what a key of some teams sees, in every place where it looks",
    "tests/fakes/test_fake_discord.py": "the real client's whole conversation with the fake",
    "bot/core.py": "all that platforms ask of the core, one short method for each, as the port has them",
    "tests/machine/world_machine.py": "one world, with every rule beside the state that it changes",
    "bot/commands.py": "the whole table of commands, with what reads a line by it",
    "bot/ports.py": "every port on one page, so that what the core asks for is read in one go",
    "bot/roster.py": "one structure whose pools, names and deadlines must change together or answers lie",
}
"""Files of more than 400 lines, each with the reason why it is better whole."""
RUN_BY_ALEMBIC = ("storage/migrations/env.py",)
"""Scripts that Alembic runs, and that therefore work when they are imported."""


def tracked(*folders: str) -> list[Path]:
    """The files git knows, relative to the root, as far as they are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *folders], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [path for name in listed.stdout.split("\0") if name and (ROOT / (path := Path(name))).is_file()]


def sources(*folders: str) -> list[Path]:
    """The Python files among them; never none."""
    found = [path for path in tracked(*folders) if path.suffix == ".py"]
    assert found, folders
    return found


def parsed(path: Path) -> ast.Module:
    """A file as a syntax tree."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


# Imports


def modules() -> list[str]:
    """Every module of the program by its dotted name."""
    paths = [path for path in sources(*PACKAGES) if str(path) not in RUN_BY_ALEMBIC]
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]


def probed(folder: Path, *names: str) -> list[str]:
    """What importing these modules in a fresh interpreter did."""
    probe = Path(__file__).with_name("import_probe.py")
    run = subprocess.run(
        [sys.executable, probe, folder, *names], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split("\n")[:-1] if run.stdout.strip() else []


def test_importing_does_no_work() -> None:
    """No file, socket, thread, process or database is opened because a module was imported."""
    assert probed(ROOT, *modules()) == []


def test_the_probe_sees_work_done_by_an_import(tmp_path: Path) -> None:
    (tmp_path / "guilty.py").write_text(
        "import socket, sqlite3, threading\n"
        "open(__file__).close()\n"
        "kept = socket.socket()\n"
        "class Late:\n"
        "    base = sqlite3.connect(':memory:')\n"
        "threading.Thread(target=threading.Event().wait, name='forgotten', daemon=True).start()\n"
    )
    (tmp_path / "innocent.py").write_text("import json, sqlite3\ndef later():\n    open(__file__).close()\n")
    told = probed(tmp_path, "guilty", "innocent")
    assert any(line == "guilty:2 open" for line in told)
    assert any(line == "guilty:3 socket.__new__" for line in told)
    assert any(line.startswith("guilty:4 sqlite3.connect") for line in told)
    assert "left running: forgotten" in told
    assert any(line.startswith("left open: socket") for line in told)
    assert not any(line.startswith("innocent:") for line in told)


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    """`rollcall --help` is quick because each adapter is imported when it is used."""
    heavy = {
        "alembic",
        "discord",
        "fastapi",
        "prompt_toolkit",
        "slack_bolt",
        "sqlalchemy",
        "sqlmodel",
        "uvicorn",
    }
    script = "import sys, bot.cli; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "bot.cli" in loaded
    assert loaded & heavy == set()


def imported(path: Path) -> Iterator[str]:
    """The top-level packages a file imports, wherever in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            yield node.module


def test_the_domain_imports_only_itself_and_three_libraries() -> None:
    """The import contracts name what is forbidden; this names all that is allowed."""
    impure = {
        "asyncio",
        "concurrent",
        "multiprocessing",
        "socket",
        "sqlite3",
        "subprocess",
        "threading",
    }
    allowed = (sys.stdlib_module_names - impure) | {"msgspec", "regex", "whenever"}
    wrong = [
        f"{path} imports {name}"
        for path in sources("bot/domain")
        for name in imported(path)
        if name.partition(".")[0] not in allowed and not name.startswith("bot.domain")
    ]
    assert wrong == []


def clock_reads(tree: ast.Module) -> Iterator[int]:
    """The lines that ask what time it is: `datetime.now()`, `date.today()`, `time.time()` and the like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value).rpartition(".")[2]
            if owner in {"datetime", "date", "Instant", "ZonedDateTime", "Date"}:
                asks = node.func.attr in {"now", "utcnow", "today", "today_in_system_tz"}
            else:
                asks = owner == "time" and node.func.attr in {"time", "time_ns", "localtime", "gmtime"}
            if asks:
                yield node.lineno


def test_only_the_clock_reads_the_clock() -> None:
    """Elsewhere the time is an argument, so a test can move it."""
    sample = ast.parse("a = time.time()\nb = datetime.now(UTC)\nc = clock.now()\nd = whenever.Instant.now()")
    assert list(clock_reads(sample)) == [1, 2, 4]
    readers = [
        f"{path}:{line}"
        for path in sources(*PACKAGES)
        if path != Path("adapters/clock.py")
        for line in clock_reads(parsed(path))
    ]
    assert readers == []


# Files


def test_no_file_is_long_without_a_reason() -> None:
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in sources()}
    long = {name: length for name, length in lengths.items() if length > LONGEST}
    assert {name: length for name, length in long.items() if name not in LONGER_FOR_A_REASON} == {}
    assert set(LONGER_FOR_A_REASON) <= set(long), "no longer long, or gone"
    assert all(LONGER_FOR_A_REASON.values())


def test_files_are_named_for_what_they_hold() -> None:
    nothing = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)$")
    assert [str(path) for path in sources() if any(map(nothing.search, path.with_suffix("").parts))] == []


def forbidden() -> list[re.Pattern[str]]:
    """Addresses of registries and folders of somebody's machine, put together so as not to stand here."""
    hosts = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "debian" + ".org"]
    folders = ["root", "home/[a-z]+", "Users/[A-Za-z]+", "work/(main|shared)"]
    return [re.compile(re.escape(host)) for host in hosts] + [
        re.compile(rf"(?<![\w./-])/{folder}/") for folder in folders
    ]


def test_no_file_names_a_registry_or_a_folder_of_somebodys_machine() -> None:
    sample = [
        "see https://" + "pypi" + ".org/simple",
        "in /" + "root/x",
        "'/" + "home/ann/y'",
        "=/" + "work/main/z",
    ]
    assert all(any(pattern.search(line) for pattern in forbidden()) for line in sample)
    found = [
        f"{path}:{number}"
        for path in tracked()
        for number, line in enumerate((ROOT / path).read_bytes().decode("utf-8", "replace").splitlines(), 1)
        if any(pattern.search(line) for pattern in forbidden())
    ]
    assert found == []


# What is installed


def test_one_lock_is_kept_and_it_holds_no_address() -> None:
    """`uv.lock` and `pylock.toml` record the addresses of registries."""
    assert [str(path) for path in tracked() if path.name in {"uv.lock", "pylock.toml"}] == []
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_lock_holds_everything_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
    ]
    pinned = dict(
        re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    wanted = [Requirement(line) for line in asked]
    wrong = [str(one) for one in wanted if pinned.get(canonicalize_name(one.name), "") not in one.specifier]
    assert wrong == []


def test_the_wheel_holds_every_file_of_the_program(tmp_path: Path) -> None:
    """Tests run on the folder; users run the wheel."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {path.as_posix() for path in tracked(*PACKAGES)} - held == set()


# What is written


def fenced(document: str) -> list[str]:
    """The lines inside the fenced blocks of a Markdown document."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    return [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]


def test_the_readme_sets_up_with_exactly_two_commands() -> None:
    readme = fenced((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [line for line in readme if re.search(r"\bvenv\b|pip install|tests/run", line)] == [
        RUN_DEMO,
        RUN_TESTS,
    ]


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.search(rf"^exec {re.escape(RUN_TESTS)} ", script, re.MULTILINE)


def test_every_decision_is_in_the_index() -> None:
    pages = sorted(path.name for path in tracked("docs/adr") if path.name != "README.md")
    index = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \|", (ROOT / "docs/adr/README.md").read_text(), re.MULTILINE
    )
    assert [page for _number, page in index] == pages
    assert [page[:5] for page in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    assert [number for number, _page in index] == [page[:4] for page in pages]
