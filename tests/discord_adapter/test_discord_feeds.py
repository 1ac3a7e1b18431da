"""Presence over our own gateway: faults 8, 9 and 11, leaving, enrolling, renaming."""

from discord_adapter.house import RecordingCore, live, running, sees, track
from fakes.discord_server import FakeDiscord

from bot.domain.facts import Seen


async def test_agents_are_asked_for_by_name_when_the_gateway_is_ready() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme", always_large=True)
        maria = fake.add_member(guild, "maria", status="online")
        tom = fake.add_member(guild, "tom")
        core = RecordingCore()
        track(core, guild, maria.id, tom.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            await sees(core, guild, tom.id, Seen.DISCONNECTED)
        assert fake.violations == []


async def test_a_slash_command_is_answered_to_its_sender_alone() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        async with running(fake, core):
            await live(core, guild)
            await core.until(lambda: bool(core.settings), "the commands")
            reply = await fake.slash(maria, guild, "away", until="30m", reason="lunch")
            assert reply.ephemeral
            assert "away" in reply.text
        assert core.commands[0].arguments == {"until": "30m", "reason": "lunch"}
        assert core.commands[0].person.profile.external_id == str(maria.id)
        assert fake.violations == []
