"""What somebody is told whose presence several programs set, one after the other."""

from desk import Team, open_team, read

from bot.domain.facts import Choice, Facts
from bot.domain.transition import Step, Told
from bot.service.set_by import set_by_program
from bot.told import told


async def put(team: Team, key: str, name: str, choice: Choice) -> None:
    """A program sets Maria's presence, a second later."""
    team.clock.advance(seconds=1)

    def decide(facts: Facts, at: object) -> Step:
        feeds, now = team.desk.roster.feeds, team.clock.now()
        by = f"api:{key}"
        return set_by_program(
            facts,
            feeds,
            team.desk.policy,
            now,
            by=by,
            name=name,
            choice=choice,
            reason="",
            reason_code="",
            until_at=None,
        )

    await team.desk.change(team.row("Maria").agent.id, decide, f"key:{key}", f"presence.{choice}")


async def words_owed(team: Team) -> list[str]:
    """The first line of each word that is owed and still makes sense, in order."""
    owed = await team.desk.store.write(
        lambda tx: tx.ledger.due_notices(team.desk.organization_id, team.clock.now(), 10)
    )
    said = [told(Told(one.told), team.row("Maria"), one.data) for one in owed]
    return [read(message).splitlines()[0] for message in said if message is not None]


async def test_of_several_programs_the_one_whose_word_counts_is_named_and_once() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    await put(team, "k1", "Dialer", Choice.AWAY)
    await put(team, "k2", "Chatwoot", Choice.AVAILABLE)
    await put(team, "k1", "Dialer", Choice.AWAY)
    await put(team, "k2", "Chatwoot", Choice.AVAILABLE)
    assert await words_owed(team) == ["The program Chatwoot set you Available."]


async def test_a_program_is_named_no_more_once_the_agent_has_chosen() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    await put(team, "k1", "Dialer", Choice.AWAY)
    await team.type("U1", "/available", name="Maria")
    assert await words_owed(team) == []
