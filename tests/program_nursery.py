"""Starts programs by forking a process that has imported everything: a tenth of a second instead of two.

The nursery is `python tests/program_nursery.py ADDRESS`, one for a whole run of tests. On its Unix socket
it takes the configurations' paths and seconds ahead, with two file descriptors (standard input and output in
one, standard error), answers with the new process's id, and later with its exit code. It ends with its
parent.
"""

import array
import asyncio
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

USED = (
    "adapters.console.service",
    "adapters.discord.service",
    "adapters.http.server",
    "adapters.scheduler",
    "adapters.slack.app",
    "alembic.command",
    "bot.wiring",
    "storage.admin",
    "storage.database",
)


class Born:
    """One program: what of `asyncio.subprocess.Process` a test uses, and a number for its exit code."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin: asyncio.StreamWriter
        self.stdout: asyncio.StreamReader
        self._control = control

    @classmethod
    async def start(cls, configs: Sequence[Path], ahead: float, log: int) -> Self:
        """A program with these configurations; it writes errors to the file descriptor `log`."""
        ours, theirs = socket.socketpair()
        with theirs:
            control = await asyncio.to_thread(_nursery)
            control.setblocking(True)
            request = json.dumps([list(map(str, configs)), ahead, str(Path.cwd())]).encode()
            control.sendmsg(
                [request],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno(), log]))],
            )
        born = cls(int(await asyncio.to_thread(control.recv, 64)), control)
        control.setblocking(False)
        born.stdout, born.stdin = await asyncio.open_connection(sock=ours)
        return born

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that has ended."""
        if self.returncode is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code, once it has ended; -9 if it was killed."""
        if self.returncode is None:
            told = await asyncio.get_running_loop().sock_recv(self._control, 64)
            self.returncode = int(told)
            self._control.close()
            self.stdin.close()
        return self.returncode


_running: dict[str, Any] = {}


def _nursery() -> socket.socket:
    """A connection to the nursery, which is started for the first one."""
    if not _running:
        folder = tempfile.TemporaryDirectory(prefix="nursery")
        address = str(Path(folder.name, "socket"))
        process = subprocess.Popen(
            [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        _running.update(folder=folder, address=address, process=process)
    control = socket.socket(socket.AF_UNIX)
    control.connect(_running["address"])
    return control


def _serve(address: str) -> tuple[Sequence[Path], float] | None:
    """Forks until standard input ends; in each child it answers with what the child has to run."""
    for name in USED:
        import_module(name)
    # What is imported stays; a child that walked through it when it ends would copy it all.
    gc.freeze()
    children: dict[int, socket.socket] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
        server.bind(address)
        server.listen()
        for thing in (server, sys.stdin, wake):
            selector.register(thing, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if sys.stdin in ready:
                return None
            if wake in ready:
                os.read(wake, 4096)
                _bury(children)
            if server in ready:
                control, _ = server.accept()
                request, descriptors, _, _ = socket.recv_fds(control, 65536, 2)
                configs, ahead, folder = json.loads(request)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for other in (control, *children.values()):
                        other.close()
                    for target, source in zip((0, 1, 2), (descriptors[0], *descriptors), strict=True):
                        os.dup2(source, target)
                    for descriptor in (*descriptors, wake, woken):
                        os.close(descriptor)
                    os.chdir(folder)
                    return list(map(Path, configs)), ahead
                for descriptor in descriptors:
                    os.close(descriptor)
                children[pid] = control
                control.send(str(pid).encode())


def _bury(children: dict[int, socket.socket]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with children.pop(pid) as control:
                try:
                    control.send(str(os.waitstatus_to_exitcode(status)).encode())
                except BrokenPipeError:
                    continue


if __name__ == "__main__":
    order = _serve(sys.argv[1])
    if order is not None:
        from steered_program import run

        sys.exit(run(*order))
