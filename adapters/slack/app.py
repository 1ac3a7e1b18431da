"""Slack as a chat platform: built once, run until cancelled, the parts of this folder joined."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from tenacity import RetryCallState

from adapters.slack.events import Events, Home
from adapters.slack.hints import DoNotDisturb, Hints
from adapters.slack.incoming import Incoming
from adapters.slack.manifest import hints_of, path_of, scopes_for
from adapters.slack.people import Installation, NobodyThere, People
from adapters.slack.polling import Poller, switch_off
from adapters.slack.render import Rendered, render
from adapters.slack.sending import Sending
from adapters.slack.signed import SignedRequests
from adapters.slack.socket_mode import SocketMode
from adapters.slack.troubles import Troubles, app_token_dead, bot_token_dead, scope_missing, unreachable
from adapters.slack.web import SLACK, Refused, TokenDead, Web, library_logger
from bot.commands import names_on
from bot.config import ONLY, SlackTable
from bot.config.tables import PresenceTable
from bot.domain.agent import Identity, Workspace
from bot.domain.errors import RollcallError
from bot.domain.hints import HintKind
from bot.message import Message
from bot.ports import AsgiApp, Core, RetryLater

CALL = aiohttp.ClientTimeout(total=10)
LAST_WORDS = 3.0
"""Seconds for answers under way, and for events that were acknowledged, when we are told to stop."""
REFRESH_PAUSE = 3.0
"""Seconds between two profiles looked up again: users.info is Tier 4, 100 a minute."""
REFRESH_AGAIN = 12 * 3600.0

log = logging.getLogger("rollcall.slack")


class SlackPlatform:
    """Implements `bot.ports.ChatPlatform` for one workspace."""

    name = "slack"

    def __init__(
        self, table: SlackTable, core: Core, presence: PresenceTable | None = None, slug: str = ONLY
    ) -> None:
        """`presence`: what comes of hints; left out, they are shown. `slug`: the organization's."""
        self._table = table
        self._wanted = hints_of(table, presence or PresenceTable())
        self._hints = Hints(core, self._wanted)
        self._look_again = asyncio.Event()
        self._core = core
        self._session: aiohttp.ClientSession | None = None
        self._home: asyncio.Future[Home] | None = None
        self._dead = asyncio.Event()
        self._dead_error = ""
        self._troubles = Troubles(core)
        self._poller: Poller | None = None
        self._client = self._new_client(table.bot_token.get_secret_value())
        self._web = Web(self._client, core.clock, self._give_up)
        self._sending = Sending(self._web, core.clock, self._troubles, lambda: self._session)
        self._events = Events(core, self, self._hints)
        # Bolt gets a client without a token: it has nothing to call.
        self._incoming = Incoming(
            core, self, self._sending, self._events, self._new_client(None), names_on("slack", table.names)
        )
        self.mounts: Mapping[str, AsgiApp] = {}
        if table.mode == "http" and table.signing_secret is not None:
            secret = table.signing_secret.get_secret_value()
            self.mounts = {path_of(slug): SignedRequests(self._incoming.app, secret, core.clock)}

    def _new_client(self, token: str | None) -> AsyncWebClient:
        address = (self._table.base_url or SLACK).rstrip("/") + "/"
        return AsyncWebClient(token, base_url=address, timeout=10, logger=library_logger(), retry_handlers=[])

    # --- running ---

    async def run(self) -> None:
        """Connects and serves until cancelled; a token that Slack refuses for good ends all calls."""
        async with aiohttp.ClientSession(timeout=CALL) as session:
            self._session = self._client.session = session
            work = [self._until_dead(), self._sign_in(), self._poll(), self._keep_profiles()]
            work.append(self._poll_hints())
            work.append(self._events.work_off())
            socket = self._socket(session) if self._table.mode == "socket" else None
            if socket is not None:
                work.append(socket.run())
            # No TaskGroup: told to stop while one of its tasks fails, Python 3.11's forgets the former.
            tasks = [asyncio.create_task(one) for one in work]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                failed = [problem for one in done if (problem := one.exception()) is not None]
                for problem in failed:
                    if not isinstance(problem, TokenDead):
                        raise problem
                await self._end(tasks, socket)
                await self._stopped()
            finally:
                self._forget_hints()
                self._events.leave()
                await self._end(tasks, socket)
                self._session = self._client.session = None

    async def _end(self, tasks: Sequence[asyncio.Task[None]], socket: SocketMode | None) -> None:
        """What is in hand is answered while the socket, and all that an answer may need, still works."""
        if socket is not None:
            socket.leave()
        try:
            await asyncio.gather(self._incoming.drain(LAST_WORDS), self._events.drain(LAST_WORDS))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_dead(self) -> None:
        await self._dead.wait()
        raise TokenDead(self._dead_error)

    async def _stopped(self) -> None:
        """Nothing is left to do but to say what must be repaired, until somebody restarts us."""
        self._forget_hints()
        if self._poller is not None:
            try:
                await self._poller.lost()
            except RollcallError as problem:
                log.warning("That presence is blind could not be kept: %s", problem.sentence)
        await asyncio.get_running_loop().create_future()

    def _give_up(self, error: str) -> None:
        self._dead_error = error
        self._troubles.raise_("token", bot_token_dead(error))
        self._dead.set()
        if self._home is not None and not self._home.done():
            self._home.set_exception(TokenDead(error))
            self._home.exception()  # Taken note of, should nobody wait.
        log.error("Slack refuses the bot token (%s); no further calls are made", error)

    async def home(self) -> Home:
        """Where the token belongs; waits for `auth.test`. Raises TokenDead."""
        if self._home is None:
            self._home = asyncio.get_running_loop().create_future()
            if self._dead.is_set():
                self._home.set_exception(TokenDead(self._dead_error))
        return await asyncio.shield(self._home)

    async def check_token(self) -> None:
        """Ask Slack whether the token still works; TokenDead has told everybody if not."""
        try:
            await self._web.patiently("auth.test", within=60)
        except (TokenDead, Refused, RetryLater) as problem:
            log.warning("The token was checked: %s", problem)

    # --- presence and profiles ---

    async def _poll(self) -> None:
        home = await self.home()
        if not self._table.presence:
            await switch_off(self._core, home.workspace.id)
            return
        self._poller = Poller(
            self._web,
            self._core,
            self._troubles,
            home.workspace.id,
            home.installation.bot_user,
            self._table.polls_per_minute,
        )
        await self._poller.run()

    async def _sign_in(self) -> None:
        began = self._core.clock.now()
        answer = await self._web.patiently("auth.test", before_sleep=lambda state: self._down(state, began))
        self._troubles.clear("sign in")
        installation = Installation(
            team_id=answer["team_id"],
            team_name=answer.get("team") or answer["team_id"],
            bot_user=answer["user_id"],
            enterprise_id=answer.get("enterprise_id") or "",
            org_wide=bool(answer.get("is_enterprise_install")),
        )
        given = {one.strip() for one in answer.headers.get("X-OAuth-Scopes", "").split(",")} - {""}
        lacking = [scope for scope in scopes_for(self._wanted) if given and scope not in given]
        if lacking:
            told = scope_missing(", ".join(lacking), "part of Rollcall does not work in Slack.")
            self._troubles.raise_("scopes", told)
        external = installation.external_id(installation.team_id)
        workspace = await self._core.workspace("slack", external, installation.team_name)
        home = Home(installation, workspace, People(self._web, self._core.clock, installation))
        waited_for = self._home
        if waited_for is None or waited_for.done():
            self._home = waited_for = asyncio.get_running_loop().create_future()
        waited_for.set_result(home)
        log.info("Signed in to %s", external)

    def _down(self, state: RetryCallState, began: datetime) -> None:
        if state.attempt_number > 1:
            self._troubles.raise_("sign in", unreachable(began, "nothing works in Slack."))

    async def _poll_hints(self) -> None:
        home = await self.home()
        if HintKind.DO_NOT_DISTURB in self._wanted:
            there = home.workspace.id, home.installation
            await DoNotDisturb(self._web, self._core, self._hints, self._troubles, *there).run()

    def _forget_hints(self, *kinds: HintKind) -> None:
        """They can't be seen any more."""
        if self._home is not None and _told(self._home):
            for kind in kinds or HintKind:
                self._hints.lost(self._home.result().workspace.id, kind)

    async def _keep_profiles(self) -> None:
        """Look agents up again, slowly: a `user_change` of while we were away is never delivered. Those who
        were in a huddle come first."""
        home = await self.home()
        while True:
            self._look_again.clear()
            waiting = self._hints.first(one.external_id for one in self._core.tracked(home.workspace.id))
            done: list[str] = []
            while waiting:
                await self._look_up(home, waiting[0])
                done.append(waiting.pop(0))
                if await self._called_within(REFRESH_PAUSE):
                    self._look_again.clear()
                    waiting, done = self._hints.first([*waiting, *done]), []
            await self._called_within(REFRESH_AGAIN)

    async def _look_up(self, home: Home, user_id: str) -> None:
        number = self._hints.number()
        try:
            answer = await self._web.patiently("users.info", user=user_id)
            await self._events.learned(home, answer["user"], number)
        except (Refused, NobodyThere, RollcallError) as problem:
            log.info("A profile could not be looked up: %s", problem)
        except TokenDead:
            raise
        except Exception:
            log.exception("A profile could not be taken in")

    async def _called_within(self, seconds: float) -> bool:
        """Wait so long; True at once when everybody is to be looked up again."""
        waits = [
            asyncio.ensure_future(self._core.clock.sleep(seconds)),
            asyncio.ensure_future(self._look_again.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return self._look_again.is_set()

    # --- Socket Mode ---

    def _socket(self, session: aiohttp.ClientSession) -> SocketMode:
        assert self._table.app_token is not None, "the configuration asks for it in this mode"
        app_token = self._table.app_token.get_secret_value()
        client = self._new_client(app_token)
        client.session = session
        web = Web(client, self._core.clock, self._app_token_dead)
        return SocketMode(
            web,
            app_token,
            self._incoming,
            self._core.clock,
            self._troubles,
            on_gap=lambda: self._forget_hints(HintKind.CALL),
            on_return=self._look_again.set,
        )

    def _app_token_dead(self, error: str) -> None:
        self._troubles.clear("socket")
        self._troubles.raise_("app token", app_token_dead(error))
        log.error("Slack refuses the app-level token (%s)", error)

    # --- sending ---

    async def send_direct(self, identity: Identity, workspace: Workspace, message: Message) -> str:
        """The message's id. Raises Undeliverable or RetryLater."""
        people = self._home.result().people if self._home and _told(self._home) else None
        zone = people.zone(identity.external_id) if people else None
        return await self._sending.direct(identity.external_id, self._rendered(message, zone))

    async def post(self, channel: str, message: Message) -> str:
        """The message's id. Raises Undeliverable or RetryLater."""
        return await self._sending.post(channel, self._rendered(message, None))

    def _rendered(self, message: Message, zone: str | None) -> Rendered:
        return render(message, self._core.clock.now(), zone)


def _told(home: "asyncio.Future[Any]") -> bool:
    return home.done() and not home.cancelled() and home.exception() is None
