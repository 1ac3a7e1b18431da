"""`rollcall demo` as somebody sees it who sits at a terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pseudo_terminal import CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal

ROLLCALL = str(Path(sys.executable).with_name("rollcall"))


def environment(temporary: Path) -> dict[str, str]:
    """Where temporary folders are made here, and what a terminal sets."""
    return {**os.environ, "TMPDIR": str(temporary), "TERM": "xterm-256color", "TZ": "Europe/Berlin"}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A demo at its prompt, with the others hidden so that the screen is the test's own."""
    with Terminal([ROLLCALL, "demo"], environment(tmp_path), columns=80, rows=50) as opened:
        opened.wait_for("○ Alex ›")
        opened.enter("/quiet")
        opened.wait_for("others are hidden")
        yield opened


def test_an_agents_day_at_the_prompt(terminal: Terminal, tmp_path: Path) -> None:
    """Available, away by a typed time, who, back by a button, somebody else, completion, history, out.
    One start of the program, because it takes most of the test's time."""
    terminal.enter("/available")
    terminal.wait_for(r"▌ You're Available\.$")
    terminal.wait_for("^● Alex ›")

    terminal.enter("/brb 30m lunch")
    terminal.wait_for(r"▌ You're Away until \d\d:\d\d.*: Lunch\. No new chats come to you\.$")
    terminal.wait_for(r"▌ \[1\] I'm back   \[2\] Sign off$")
    terminal.wait_for("^○ Alex › $|^○ Alex ›$")

    terminal.enter("/whosin")
    terminal.wait_for(r"▌ Away \(2\)\n▌   Alex · until .* · Lunch\n▌   Chloe · until .* · Lunch$")

    terminal.enter("/brb")
    terminal.wait_for(r"▌ Type /available or press the button when you're back\.")
    terminal.enter("1")
    terminal.wait_for(r"▌ You're Available\.$", times=2)

    terminal.type("/as ma" + TAB)
    terminal.wait_for("› /as maria$")
    terminal.type(ENTER)
    terminal.wait_for(r"▌ You're Maria now, in Europe/Madrid, where it is \d\d:\d\d\.$")
    terminal.enter("/presence me")
    terminal.wait_for(r"▌ Time zone Europe/Madrid \(\d\d:\d\d there\)")

    terminal.type("/pre" + TAB)
    terminal.wait_for("› /presence$")
    terminal.type("ti" + TAB)
    terminal.wait_for("› /presence timezone$")
    terminal.type("europe/lis" + TAB)
    terminal.wait_for("› /presence timezone Europe/Lisbon$")
    terminal.type(ENTER)
    terminal.wait_for(r"Your time zone is Europe/Lisbon")

    terminal.type(UP + UP + ENTER)
    terminal.wait_for(r"▌ Time zone Europe/Lisbon \(\d\d:\d\d there\)")

    terminal.type(CTRL_C)
    assert terminal.ended() == 0
    assert "Traceback" not in terminal.everything
    assert terminal.lines[-1] == "The demo has ended. Nothing of it is left."
    assert list(tmp_path.iterdir()) == []


def test_nothing_pasted_moves_the_cursor(terminal: Terminal) -> None:
    """Row 28 of what must survive: words stay words, in the answer and in what others see."""
    paste = "\x1b[200~{}\x1b[201~"
    terminal.enter(paste.format("/brb \x1b[2Jgone\x07 @everyone"))
    terminal.wait_for(r"▌ You're Away: \[2Jgone @everyone\.")
    terminal.enter(paste.format("/presence \x1b[2J\x1b[Hx"))
    terminal.wait_for(r"▌ There is no command /presence \[2j\[hx\.")
    assert "The others are hidden now." in terminal.everything


def test_what_the_others_do_stands_above_what_is_being_typed(tmp_path: Path) -> None:
    """Emma drops after four seconds: half a line typed until then is still there, and goes on."""
    with Terminal([ROLLCALL, "demo"], environment(tmp_path), columns=80, rows=50) as terminal:
        terminal.wait_for("○ Alex ›")
        terminal.type("/brb 45m den")
        terminal.wait_for(r"^\d\d:\d\d:\d\d    Emma lost the connection: Offline in 45 s, unless it returns$")
        terminal.wait_for("^○ Alex › /brb 45m den$")
        terminal.enter("tist")
        terminal.wait_for(r"You're Away until \d\d:\d\d.*: dentist\.")


def test_ctrl_d_leaves_and_the_data_that_is_kept_goes_on(tmp_path: Path) -> None:
    """`--data`: the same people with the same presence; the agent who typed is still at the dentist's."""
    data = tmp_path / "kept"
    command = [ROLLCALL, "demo", "--data", str(data)]
    with Terminal(command, environment(tmp_path), columns=80, rows=50) as first:
        first.wait_for("○ Alex ›")
        first.enter("/brb 2h dentist")
        first.wait_for("Away until")
        first.type(CTRL_D)
        assert first.ended() == 0
    with Terminal(command, environment(tmp_path), columns=80, rows=50) as second:
        second.wait_for("○ Alex ›")
        second.enter("/whosin")
        shown = second.wait_for(r"▌ Demo support.*(\n▌.*)*")
        second.enter("/quit")
        assert second.ended() == 0
    assert re.search(r"Available \(3\)\n▌   Ben · billing only today\n▌   Emma\n▌   Maria", shown)
    assert re.search(r"Away \(2\)\n▌   Alex · until .* · dentist\n▌   Chloe", shown)
    assert re.search(r"Offline \(1\)\n▌   Dev · since", shown)


def test_a_closed_terminal_leaves_no_folder_behind(tmp_path: Path) -> None:
    with Terminal([ROLLCALL, "demo"], environment(tmp_path)) as terminal:
        terminal.wait_for("○ Alex ›")
        assert len(list(tmp_path.iterdir())) == 1
        terminal.program.kill(signal.SIGHUP)
        assert terminal.ended() == 0
    assert list(tmp_path.iterdir()) == []
