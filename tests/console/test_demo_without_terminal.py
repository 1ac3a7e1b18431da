"""`rollcall demo` where nobody can type: a pipe, a service, a script."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
ROLLCALL = str(Path(sys.executable).with_name("rollcall"))


def run(*arguments: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """The demo, run to its end."""
    return subprocess.run(
        [ROLLCALL, "demo", *arguments],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """The demo and its output, as it runs; ended at the end whatever happens."""
    with subprocess.Popen(
        [ROLLCALL, "demo"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            yield demo, demo.stdout
        finally:
            demo.kill()


def test_it_prints_address_key_and_calls_that_work_as_printed_and_so_do_the_readmes(tmp_path: Path) -> None:
    """The address and the key on lines of their own; what happens as plain lines; left by itself.
    Starts the program, which takes most of the time."""
    with running(tmp_path) as (demo, output):
        said: list[str] = []
        while not (said and "Emma lost the connection" in said[-1]):
            said.append(output.readline().rstrip("\n"))
            assert len(said) < 60, said
        calls = [shlex.split(line) for line in said if line.startswith("curl ")]
        answers = [answer_to(call) for call in calls]
        told = dict(line.split(" ", 1) for line in said if line.startswith(("api ", "key ")))
        examples = [line for line in README.splitlines() if line.startswith("curl ")]
        filled = [line.replace("$API", told["api"]).replace("$KEY", told["key"]) for line in examples]
        by_readme = [answer_to(shlex.split(line)) for line in filled]
        demo.terminate()
        rest, errors = demo.communicate(timeout=20)
    (api,) = [line.removeprefix("api ") for line in said if line.startswith("api ")]
    (key,) = [line.removeprefix("key ") for line in said if line.startswith("key ")]
    assert [call[:2] for call in calls] == [["curl", "-sH"]] * 3
    assert all(call[-1].startswith(api + "/v1/") and key in call[2] for call in calls)
    assert [answer.status_code for answer in answers] == [200] * 3
    available = {agent["name"] for agent in answers[0].json()["agents"]}
    assert len(by_readme) == 6
    assert [(answer.status_code, answer.url) for answer in by_readme if answer.status_code != 200] == []
    assert [agent["name"] for agent in by_readme[2].json()["agents"]] == ["Alex", "Chloe"]
    assert available >= {"Maria", "Ben"}
    assert "Dev" not in available
    assert answers[2].json()["routable"] is True
    assert "\x1b" not in "".join(said) + rest
    assert "›" not in "".join(said)
    assert (demo.returncode, errors) == (0, "")
    assert rest.endswith("The demo has ended. Nothing of it is left.\n")
    assert list(tmp_path.iterdir()) == []


def answer_to(call: list[str]) -> httpx.Response:
    """What a curl command line asks, asked."""
    address = next(word for word in call if word.startswith("http"))
    headers = [tuple(word.split(": ", 1)) for word in call if word.startswith("Authorization: ")]
    with httpx.stream("GET", address, headers=[(name, value) for name, value in headers]) as answer:
        if answer.headers["content-type"] == "text/event-stream":
            assert next(answer.iter_lines()).startswith("retry: "), "the stream has no end, but a beginning"
        else:
            answer.read()
    return answer


def test_it_leaves_by_itself_after_so_many_seconds(tmp_path: Path) -> None:
    ended = run("--seconds", "0.2", temporary=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("--port", str(port), temporary=tmp_path)
    told = f"Port {port} can't be used (Address already in use): choose another --port, or leave it out.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", told)


def test_a_folder_that_can_not_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = run("--data", str(file / "below"), temporary=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"--data {file / 'below'} can't be used: Not a directory.\n"


def test_it_leaves_quietly_when_nobody_reads_any_more(tmp_path: Path) -> None:
    """As in `rollcall demo | head -1`."""
    with running(tmp_path) as (demo, output):
        output.readline()
        output.close()
        assert demo.wait(timeout=30) == 0
        assert demo.stderr is not None
        assert demo.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_driver_of_postgresql() -> None:
    """`pip install .` brings none: only the extra does."""
    without = "import sys; sys.modules['psycopg'] = None; from bot.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "demo", "--seconds", "0.2"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
