"""The fake's server: its life, what is set up in its workspaces, what goes wrong, and what can be seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aiohttp import web
from fakes.slack_manifest import validate_manifest
from fakes.slack_messages import Json, Message
from fakes.slack_responses import ResponseUrls
from fakes.slack_socket import Ack, Reason, SocketMode
from fakes.slack_web import Fault, WebApi
from fakes.slack_workspace import BOT_SCOPES, Call, Channel, Token, User, Workspace, World

Found = TypeVar("Found")


class SlackServer:
    """A Slack server on a loopback port, with one workspace `T1` in which the app is installed.

    `clock` tells the time for timestamps, limits and lifetimes; deadlines pass in the loop's own time.
    `ack_deadline` is Slack's three seconds; `retry_delays` Slack's at once, a minute, five minutes.
    `patience` bounds every wait for the app, in seconds. `secret` is part of every token, so that two apps
    can be told apart.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        request_url: str | None = None,
        ack_deadline: float = 3.0,
        ping_interval: float = 2.0,
        retry_delays: tuple[float, ...] = (0.0, 60.0, 300.0),
        patience: float = 5.0,
        secret: str = "fake",
    ) -> None:
        self.app_id = "A0ROLLTEST"
        self.secret = secret
        self.app_token = f"xapp-1-A0ROLLTEST-1-{secret}"
        self.signing_secret = f"8f742231b10e8888abcd99yyyzzz-{secret}"
        self.request_url = request_url
        self.ack_deadline = ack_deadline
        self.retry_delays = retry_delays
        self.patience = patience
        self.commands: dict[str, bool] | None = None
        self.subscriptions: frozenset[str] | None = None
        self.errors_shown: list[str] = []
        self.world = World(clock, self.app_id)
        self.sockets = SocketMode(self.world, ack_deadline, ping_interval)
        self.web = WebApi(self.world, self.sockets.open_url)
        self.responses = ResponseUrls(self.world)
        self.world.tokens[self.app_token] = Token(self.app_token, None, {"connections:write"})
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._origin = ""
        self.add_workspace("T1", "Acme")

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self.web.handle)
        app.router.add_get("/link/", self.sockets.handle)
        for kind in ("commands", "actions"):
            app.router.add_post(f"/{kind}/{{team}}/{{number}}/{{secret}}", self.responses.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self._origin = self.responses.base = f"http://127.0.0.1:{port}"
        self.sockets.base = f"ws://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.web.closing.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.sockets.close()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """The base of the Web API for a client."""
        return f"{self._origin}/api/"

    @property
    def workspace(self) -> Workspace:
        return self.world.workspaces["T1"]

    @property
    def bot_token(self) -> str:
        return self.workspace.bot_token

    @property
    def violations(self) -> list[str]:
        """Every documented rule that a client broke, in order."""
        return self.world.violations

    @property
    def impatient_calls(self) -> list[str]:
        """Calls that came before the Retry-After they had been told."""
        return self.web.impatient + self.responses.impatient

    def add_workspace(
        self, team_id: str, name: str, scopes: frozenset[str] = BOT_SCOPES, enterprise_id: str | None = None
    ) -> Workspace:
        """Install the app in a workspace, with a bot, a token and a channel `#general` (`T2` → `C2`)."""
        token, bot = f"xoxb-{team_id}-{self.secret}", f"UBOT{team_id[1:]}"
        made = Workspace(team_id, name, name.lower(), token, bot, f"B{team_id[1:]}", enterprise_id)
        self.world.workspaces[team_id] = made
        self.world.tokens[token] = Token(token, team_id, set(scopes))
        made.users[bot] = User(bot, team_id, "rollcall", "Rollcall", is_bot=True)
        self.add_channel(f"C{team_id[1:]}", "general", team=team_id)
        return made

    def add_user(self, user_id: str, name: str = "", team: str = "T1", **fields: Any) -> User:
        """A member, with any field of `User`; `real_name` defaults to the name with a capital."""
        name = name or user_id.lower()
        fields.setdefault("real_name", name.capitalize())
        user = User(user_id, team, name, updated=int(self.world.clock()), **fields)
        self.world.workspaces[team].users[user_id] = user
        return user

    def add_channel(
        self, channel_id: str, name: str, team: str = "T1", bot_in_it: bool = True, **fields: Any
    ) -> Channel:
        workspace = self.world.workspaces[team]
        members = {workspace.bot_user} if bot_in_it else set()
        channel = Channel(channel_id, team, name, members, **fields)
        workspace.channels[channel_id] = channel
        return channel

    def user(self, user_id: str) -> User:
        return self.world.user(user_id)

    def install(self, manifest: Json, team: str = "T1") -> None:
        """Take an app manifest as Slack does: only its commands, scopes and events exist from now on."""
        if problems := validate_manifest(manifest):
            raise AssertionError("Slack would refuse this manifest: " + "; ".join(problems))
        commands = manifest.get("features", {}).get("slash_commands", [])
        self.commands = {one["command"]: one.get("should_escape", False) for one in commands}
        events = manifest.get("settings", {}).get("event_subscriptions", {})
        self.subscriptions = frozenset(events.get("bot_events", []))
        token = self.world.tokens[self.world.workspaces[team].bot_token]
        token.scopes = set(manifest.get("oauth_config", {}).get("scopes", {}).get("bot", []))

    def set_presence(self, user: str, presence: Literal["active", "away"]) -> None:
        self.user(user).presence = presence

    # Faults

    def enforce_rate_limits(self, on: bool = True) -> None:
        """Hold the app to each method's tier, and to about a post a second in each channel."""
        self.web.limits_on = on

    def rate_limit(self, method: str, retry_after: int = 1, times: int | None = 1) -> None:
        """Answer 429 to the next calls of a method (`*`: any of the Web API), or uses of a `response_url`;
        `times=None` until `heal`."""
        self._faults(method).append(Fault(method, times, retry_after=retry_after))

    def fail(
        self, method: str, error: str | None = None, status: int | None = None, times: int | None = 1
    ) -> None:
        """Answer the next calls with an error of Slack's, with an HTTP status, or with both.

        A `response_url` knows statuses only.
        """
        assert status or (error and method != "response_url"), "fail wants an error, a status, or both"
        self._faults(method).append(Fault(method, times, error=error, status=status))

    def _faults(self, method: str) -> list[Fault]:
        return self.responses.faults if method == "response_url" else self.web.faults

    def slow(self, method: str, seconds: float, times: int | None = None) -> Fault:
        """Answer late; of what is given back, `times` tells how many calls are still to be slow."""
        fault = Fault(method, times, seconds=seconds)
        self.web.faults.append(fault)
        return fault

    def cut(self, method: str, times: int | None = 1) -> None:
        """Drop the connection instead of an answer; the call itself is not carried out.

        aiohttp repeats a GET once by itself (`users.info`, `users.getPresence`): it takes two to be seen.
        """
        self.web.faults.append(Fault(method, times, cut=True))

    def heal(self) -> None:
        """End every fault of the Web API and of response URLs."""
        self.web.faults.clear()
        self.responses.faults.clear()

    def drop_sockets(self) -> int:
        """Reset every Socket Mode connection; how many there were."""
        return self.sockets.drop()

    def freeze_sockets(self, new_ones_too: bool = False) -> None:
        """Half-open: TCP stays up, nothing is answered or sent, pongs neither, until `thaw`."""
        for connection in self.sockets.connections:
            connection.frozen = True
        self.sockets.freeze_new = new_ones_too

    def thaw(self) -> None:
        for connection in self.sockets.connections:
            connection.frozen = False
        self.sockets.freeze_new = False

    def refuse_sockets(self, times: int) -> None:
        """Answer the next WebSocket handshakes with 503."""
        self.sockets.refusals = times

    async def disconnect_sockets(
        self, reason: Reason = "refresh_requested", grace: float | None = None
    ) -> None:
        """Ask every connection to go; a warning comes 10 s before the end, the others right before it."""
        if grace is None:
            grace = 10.0 if reason == "warning" else 0.2
        await self.sockets.disconnect(reason, grace)

    def hold_envelopes(self) -> None:
        """Keep payloads back, until `release_envelopes`."""
        self.sockets.held = []

    async def release_envelopes(self, reverse: bool = False) -> None:
        """Send what was held, in order or the last first."""
        await self.sockets.release(reverse)

    def delay_envelopes(self, seconds: float) -> None:
        """Send every payload this much late; 0 ends it."""
        self.sockets.lateness = seconds

    def revoke_token(self, team: str = "T1", error: str = "token_revoked") -> None:
        """From now on the workspace's bot token answers `error`; nobody tells the app."""
        self.world.tokens[self.world.workspaces[team].bot_token].dead = error

    def restore_token(self, team: str = "T1") -> None:
        self.world.tokens[self.world.workspaces[team].bot_token].dead = None

    # What can be seen

    def messages(self, channel: str = "C1") -> list[Message]:
        """What everybody in a channel sees, oldest first."""
        return [m for m in self.world.messages if m.channel == channel and not m.ephemeral and not m.deleted]

    def direct_messages(self, user: str) -> list[Message]:
        """What the app wrote to this member directly, oldest first."""
        workspace = self.world.workspaces[self.user(user).team_id]
        return self.messages(self.world.direct_channel(workspace, user).id)

    def ephemeral_messages(self, user: str) -> list[Message]:
        return [m for m in self.world.messages if m.only_for == user and not m.deleted]

    def pings(self) -> list[str]:
        """Every mention in any message ever shown that would have notified somebody."""
        return [ping for message in self.world.messages for ping in message.pings]

    def calls(self, method: str | None = None) -> list[Call]:
        """The requests to the Web API, in order."""
        return [call for call in self.world.calls if method in {None, call.method}]

    @property
    def acks(self) -> list[Ack]:
        return self.sockets.acks

    async def wait_for(
        self, look: Callable[[], Found | None], what: str, timeout: float | None = None
    ) -> Found:
        """What `look` finds once it finds something; it is asked again whenever the fake hears anything."""
        found = await self.world.until(look, timeout or self.patience)
        assert found is not None, f"{what} did not happen within {timeout or self.patience} s"
        return found

    async def wait_for_message(
        self,
        channel: str | None = None,
        *,
        to: str | None = None,
        containing: str = "",
        count: int = 1,
        timeout: float | None = None,
    ) -> Message:
        """The `count`-th message in a channel, or direct to a member, or anywhere, with these words."""

        def look() -> Message | None:
            if to is not None:
                among = self.direct_messages(to) + self.ephemeral_messages(to)
            else:
                among = self.messages(channel) if channel else self.world.messages
            fitting = [m for m in among if not m.deleted and containing in m.text + "\n" + m.shown]
            return fitting[count - 1] if len(fitting) >= count else None

        place = f"to {to}" if to else f"in {channel or 'any place'}"
        return await self.wait_for(look, f"message {count} with {containing!r} {place}", timeout)

    async def wait_for_call(self, method: str, count: int = 1, timeout: float | None = None) -> Call:
        """The `count`-th call of a method."""

        def look() -> Call | None:
            made = self.calls(method)
            return made[count - 1] if len(made) >= count else None

        return await self.wait_for(look, f"call {count} of {method}", timeout)

    async def wait_for_connection(self, count: int = 1, timeout: float | None = None) -> None:
        """Until this many sockets are open and answer."""

        def enough() -> bool | None:
            return len([c for c in self.sockets.connections if not c.frozen]) >= count or None

        await self.wait_for(enough, f"Socket Mode connection {count}", timeout)
