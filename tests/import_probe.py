"""Imports modules in an interpreter of its own and prints, a line each, what their own code did meanwhile.

`python import_probe.py FOLDER MODULE…`: only work begun at the top level of one of these is told. What a
library does while it is imported is the library's; that no thread and no socket is left over holds for all.
"""

import importlib
import os
import stat
import sys
import threading
from types import FrameType

import pydantic

WORK = ("os.", "socket.", "sqlite3.", "subprocess.", "_thread.start", "tempfile.", "shutil.", "urllib.")


class First(pydantic.BaseModel):
    """Pydantic reads every distribution's metadata, once, when the first model is made: here, unwatched."""


def begun_by(frame: FrameType | None, modules: list[str]) -> str | None:
    """The `module:line` whose top level led here; None where it was a library's, and for imports."""
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        return None
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if frame is None or frame.f_globals["__name__"] not in modules:
        return None
    return f"{frame.f_globals['__name__']}:{frame.f_lineno}"


def probe(modules: list[str]) -> list[str]:
    """What importing these modules did, as `module:line event`, and what it left open."""
    told: list[str] = []
    watching = True

    def watch(event: str, _arguments: tuple[object, ...]) -> None:
        if watching and (event == "open" or event.startswith(WORK)):
            place = begun_by(sys._getframe(1), modules)
            if place is not None:
                told.append(f"{place} {event}")

    sys.addaudithook(watch)
    for module in modules:
        importlib.import_module(module)
    watching = False
    told += [f"left running: {thread.name}" for thread in threading.enumerate()[1:]]
    told += [f"left open: socket {descriptor}" for descriptor in range(3, 256) if is_socket(descriptor)]
    return told


def is_socket(descriptor: int) -> bool:
    """Whether this file descriptor is open and a socket."""
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


if __name__ == "__main__":
    sys.path[0] = sys.argv[1]
    print("\n".join(probe(sys.argv[2:])))
    sys.stdout.flush()
    os._exit(0)  # a thread that was left running must not keep this one
