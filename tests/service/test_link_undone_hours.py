"""Working hours after a link is undone: each has those of before."""

from __future__ import annotations

import pytest
from desk import open_team
from linking_desk import ask, both, say, type_code
from service.test_link_undone import press, word


@pytest.mark.parametrize("typed", [False, True], ids=["the button", "the command"])
async def test_hours_that_came_go_with_whose_they_were(typed: bool) -> None:
    """Or the asker would get chats at a stranger's hours only."""
    team = await open_team()
    await both(team)
    await say(team, "91", "/presence hours set mon-fri 20-22 Europe/Berlin")
    await say(team, "91", "/presence dayoff add 24 dec - 26 dec")
    his = team.row("maria_d").agent.hours
    await type_code(team, await ask(team))
    assert team.row("Maria").agent.hours == his is not None
    await (say(team, "U1", "/presence unlink discord") if typed else press(team, await word(team)))
    maria = team.row("Maria")
    assert (maria.agent.hours, maria.on_shift) == (None, True)
    assert team.row("maria_d").agent.hours == his


async def test_each_has_their_own_hours_again() -> None:
    team = await open_team()
    await both(team)
    await say(team, "U1", "/presence hours set mon-fri 9-17 Europe/Berlin")
    await say(team, "91", "/presence dayoff add 24 dec - 26 dec")
    hers, his = team.row("Maria").agent.hours, team.row("maria_d").agent.hours
    await type_code(team, await ask(team))
    assert team.row("Maria").agent.hours == hers
    await press(team, await word(team))
    assert (team.row("Maria").agent.hours, team.row("maria_d").agent.hours) == (hers, his)
    assert his is not None


async def test_hours_that_were_set_since_the_link_stay() -> None:
    """They may be one's own: nothing says on which account they were set."""
    team = await open_team()
    await both(team)
    await say(team, "91", "/presence hours set mon-fri 20-22 Europe/Berlin")
    his = team.row("maria_d").agent.hours
    await type_code(team, await ask(team))
    await say(team, "U1", "/presence hours set mon-fri 9-17 Europe/Berlin")
    hers = team.row("Maria").agent.hours
    assert hers != his
    await press(team, await word(team))
    assert (team.row("Maria").agent.hours, team.row("maria_d").agent.hours) == (hers, his)


async def test_hours_go_back_also_where_who_came_asked_for_another_code() -> None:
    """The link that is undone last is not the one that brought them."""
    team = await open_team()
    await both(team)
    await say(team, "91", "/presence hours set mon-fri 20-22 Europe/Berlin")
    his = team.row("maria_d").agent.hours
    await type_code(team, await ask(team))
    message = await word(team)
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    code = await ask(team, "91")
    await type_code(team, code, "U66", name="Mallory")
    team.slack = here
    await press(team, message)
    assert (team.row("Maria").agent.hours, team.row("maria_d").agent.hours) == (None, his)
