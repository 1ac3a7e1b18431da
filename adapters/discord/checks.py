"""What `rollcall doctor` looks at in Discord: token, intents, servers, roles; each with the exact repair."""

from collections.abc import Sequence
from typing import Any

from adapters.asking import Answer, Unreachable, ask, clock_finding
from adapters.discord.invite import invite_url
from bot.config import Config, DiscordTable
from bot.message import words
from bot.ports import Clock, Finding

DISCORD = "https://discord.com/api/v10"
PORTAL = "https://discord.com/developers/applications"
AGENT = "DiscordBot (rollcall, 1)"
"""Discord refuses clients that do not say what they are."""
PRESENCE = 1 << 12 | 1 << 13
"""Flags of an application: the Presence Intent is on, for a large bot or one in under 100 servers."""
TOKEN, INTENT, SERVER, ROLE = "Discord token", "Discord presence intent", "Discord server", "Discord role"
MOST_SERVERS = 10
"""Servers in which roles are looked for."""


async def checks(config: Config, clock: Clock) -> Sequence[Finding]:
    """Everything of Discord; nothing where it is not configured."""
    if config.discord is None:
        return ()
    look = _Look(config.discord, clock)
    try:
        return await look.everything()
    except Unreachable as problem:
        return [
            *look.found,
            Finding(
                TOKEN,
                False,
                f"Discord can't be reached ({problem.why}). See this machine's network, and "
                "https://discordstatus.com",
            ),
        ]


class _Look:
    def __init__(self, table: DiscordTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self.found: list[Finding] = []

    async def _get(self, path: str) -> Answer:
        base = (self._table.base_url or DISCORD).rstrip("/")
        secret = self._table.token.get_secret_value()
        headers = {"Authorization": f"Bot {secret}", "User-Agent": AGENT}
        return await ask("GET", base + path, self._clock, headers)

    async def everything(self) -> list[Finding]:
        """Stops where nothing behind it can be asked."""
        me = await self._get("/users/@me")
        self.found += clock_finding("Discord", me)
        if me.status != 200 or not isinstance(me.body, dict):
            self.found.append(Finding(TOKEN, False, _refused(me.status)))
            return self.found
        self.found.append(
            Finding(TOKEN, True, f"accepted, for {words(str(me.body.get('username', '')), 40)}")
        )
        app = await self._get("/applications/@me")
        about: dict[str, Any] = app.body if app.status == 200 and isinstance(app.body, dict) else {}
        self._intent(about)
        await self._servers(str(about.get("id") or me.body.get("id") or ""))
        return self.found

    def _intent(self, about: dict[str, Any]) -> None:
        if not self._table.presence:
            self.found.append(Finding(INTENT, True, "not asked for: discord.presence is false"))
        elif isinstance(about.get("flags"), int) and about["flags"] & PRESENCE:
            self.found.append(Finding(INTENT, True, "on"))
        else:
            self.found.append(
                Finding(
                    INTENT,
                    False,
                    f"it is off, so nobody's disconnect is seen. Turn it on: {PORTAL} → your app → Bot → "
                    "Privileged Gateway Intents → Presence Intent; or set discord.presence = false.",
                )
            )

    async def _servers(self, application_id: str) -> None:
        if self._table.guilds:
            guilds = list(self._table.guilds)
        else:
            mine = await self._get(f"/users/@me/guilds?limit={MOST_SERVERS}")
            listed = mine.body if mine.status == 200 and isinstance(mine.body, list) else []
            guilds = [str(one.get("id")) for one in listed if isinstance(one, dict)]
            if not guilds:
                where = invite_url(application_id)
                said = f"the bot is in no server. Open this as somebody with Manage Server: {where}"
                self.found.append(Finding(SERVER, False, said))
                return
        roles: set[str] = set()
        for guild in guilds[:MOST_SERVERS]:
            answer = await self._get(f"/guilds/{guild}/roles")
            if answer.status == 200 and isinstance(answer.body, list):
                roles |= {str(one.get("id")) for one in answer.body if isinstance(one, dict)}
                self.found.append(Finding(SERVER, True, f"the bot is in {guild}"))
            else:
                where = invite_url(application_id, guild_id=guild if guild.isdigit() else None)
                self.found.append(
                    Finding(
                        SERVER,
                        False,
                        f"the bot is not in {words(guild, 30)}. Correct discord.guilds, or open {where}",
                    )
                )
        for role in self._table.agent_roles:
            if role in roles:
                self.found.append(Finding(ROLE, True, f"{role} is there"))
            elif roles:
                self.found.append(
                    Finding(
                        ROLE,
                        False,
                        f"discord.agent_roles: {words(role, 30)} is no role where the bot is. With "
                        "Developer Mode on, right click on the role, Copy Role ID.",
                    )
                )


def _refused(status: int) -> str:
    if status == 401:
        return (
            f"Discord refuses discord.token. At {PORTAL} → your app → Bot press Reset Token, and put the new "
            "one into the configuration."
        )
    return f"Discord can't say now (HTTP {status}). Run it again in a minute."
