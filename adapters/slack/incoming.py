"""What people do in Slack: commands and clicks, each acted on once, however often it is delivered.

Bolt polls every 10 ms for an acknowledgement unless `process_before_response` is on; with it on, what a
listener returns is the acknowledgement. So a command's reply is its acknowledgement when it is ready
within `ANSWER`; else the acknowledgement is empty and the reply follows through the response URL.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.events import Events, Home, House
from adapters.slack.people import NobodyThere
from adapters.slack.render import Rendered, clicked, render
from adapters.slack.sending import Sending
from adapters.slack.web import Refused, TokenDead, library_logger
from bot.commands import GROUP
from bot.domain.agent import Workspace
from bot.domain.errors import RollcallError
from bot.message import Code, Message, Tone
from bot.ports import Command, Core, Person, RetryLater

ANSWER = 2.0
"""Of the 3 s that Slack waits for an acknowledgement."""
PATIENCE = 60.0
"""Seconds in which Slack must say who somebody is, before a command is given up with a word."""
MENTIONS = 5
REMEMBERED = 1000
"""Deliveries, each with its reply."""
ANYTHING = re.compile(".*", re.DOTALL)
_SPECIAL = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}

T = TypeVar("T")
Json = dict[str, Any]
log = logging.getLogger("rollcall.slack")


class Incoming:
    """Bolt's app with its listeners."""

    def __init__(
        self,
        core: Core,
        house: House,
        sending: Sending,
        events: Events,
        client: AsyncWebClient,
        names: Mapping[str, str],
    ) -> None:
        self._core = core
        self._house = house
        self._sending = sending
        self._names = names
        self._by_name = {f"/{shown}": name for name, shown in names.items()}
        self._events = events
        self._under_way: set[asyncio.Task[Any]] = set()
        self._deliveries: OrderedDict[str, asyncio.Task[Any]] = OrderedDict()
        self.app = AsyncApp(
            # Bolt gives the logger of that name, and all below it, the level of the one it is handed.
            name=library_logger().name,
            client=client,
            authorize=_trust,
            process_before_response=True,
            # `signed.py` has verified what comes by HTTP; Socket Mode needs no signature.
            request_verification_enabled=False,
            # Each of Bolt's steps costs every command; these find nothing to do in what comes here.
            ignoring_self_events_enabled=False,
            attaching_function_token_enabled=False,
            logger=library_logger(),
        )
        self.app.command(ANYTHING)(self._on_command)
        self.app.action(re.compile(r"rollcall:.*"))(self._on_click)
        self.app.event(ANYTHING)(self._on_event)
        for catch_all in (self.app.action, self.app.shortcut, self.app.view, self.app.options):
            # Whatever nobody handles is acknowledged, or Slack would deliver it again.
            catch_all(ANYTHING)(_acknowledge)

    async def drain(self, within: float) -> None:
        """Wait for what is in hand, and for what comes of it, so many seconds at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while self._under_way and (left := until - loop.time()) > 0:
            await asyncio.wait(set(self._under_way), timeout=left)

    # --- commands and clicks ---

    async def _on_command(self, body: Json) -> BoltResponse:
        key = f"slack:command:{body['trigger_id']}"
        if (before := self._deliveries.get(key)) is not None:
            # Slack takes the first acknowledgement of an envelope: the one with the reply goes ahead.
            await asyncio.wait({before}, timeout=ANSWER)
            return BoltResponse(status=200, body="")
        answer = self.begin(self._commanded(body, key))
        self._remember(key, answer)
        await asyncio.wait({answer}, timeout=ANSWER)
        if not answer.done():
            self.begin(self._follow(answer, body["response_url"]))
            return BoltResponse(status=200, body="")
        return BoltResponse(status=200, body={"response_type": "ephemeral", **answer.result().body()})

    async def unsent(self, body: Json, response: BoltResponse) -> None:
        """Show a command's reply whose acknowledgement could not be sent."""
        if "command" in body and response.status == 200 and response.body:
            reply = json.loads(response.body)
            await self._sending.respond(body["response_url"], Rendered(reply["text"], reply["blocks"]))

    async def _follow(self, answer: asyncio.Task[Rendered], url: str) -> None:
        await self._sending.respond(url, await answer)

    async def _commanded(self, body: Json, key: str) -> Rendered:
        """The reply."""
        name = self._by_name.get(body["command"])
        if name is None:
            return self._render(self._unknown(body["command"]), None)
        text, mentioned = read_text(body.get("text") or "")

        async def reply(home: Home, person: Person) -> Message:
            profiles = [await home.people.profile(one, PATIENCE) for one in mentioned[:MENTIONS]]
            return await self._core.dispatch(
                Command(
                    name,
                    person,
                    text=text,
                    mentioned=tuple(profiles),
                    request_id=_request_id(key),
                    delivery=key,
                )
            )

        return await self._reply(body["user_id"], body["team_id"], body.get("enterprise_id"), reply)

    async def _on_click(self, body: Json) -> BoltResponse:
        key = f"slack:click:{body['trigger_id']}"
        work = self._deliveries.get(key)
        if work is None:
            work = self.begin(self._click(body, key))
            self._remember(key, work)
        await asyncio.wait({work}, timeout=ANSWER)
        return BoltResponse(status=200, body="")

    async def _click(self, body: Json, key: str) -> None:
        action = body["actions"][0]
        found = clicked(action["action_id"], action.get("value") or "")
        replaces = False

        async def reply(home: Home, person: Person) -> Message:
            nonlocal replaces
            if found is None:
                return _problem("This button is from another version of Rollcall. Type the command instead.")
            name, arguments = found
            message = await self._core.dispatch(
                Command(
                    name,
                    person,
                    arguments=arguments,
                    request_id=_request_id(key),
                    delivery=key,
                    clicked=True,
                )
            )
            replaces = message.replaces
            return message

        user, team = body["user"], body.get("team") or {}
        team_id = team.get("id") or user.get("team_id", "")
        enterprise_id = (body.get("enterprise") or {}).get("id") or team.get("enterprise_id")
        rendered = await self._reply(user["id"], team_id, enterprise_id, reply)
        # Slack takes no message in the acknowledgement of a click, so it need not wait for this.
        self.begin(self._show(body, rendered, replaces))

    async def _show(self, body: Json, rendered: Rendered, replaces: bool) -> None:
        container, url = body.get("container") or {}, body.get("response_url")
        channel, ts = container.get("channel_id", ""), container.get("message_ts", "")
        ephemeral = bool(container.get("is_ephemeral"))
        if replaces and not ephemeral and channel.startswith("D") and ts:
            await self._sending.update(channel, ts, rendered)
        elif url:
            # A message that others see too is never replaced with what one person asked for.
            await self._sending.respond(url, rendered, replace=replaces and ephemeral)

    async def _reply(self, user_id: str, team_id: str, enterprise_id: str | None, reply: Any) -> Rendered:
        """Who it is, and what the core says. Whatever goes wrong is told in a sentence."""
        zone = None
        try:
            home = await self._house.home()
            if not home.installation.covers(team_id, enterprise_id or ""):
                message = _problem("This Rollcall belongs to another workspace, so nothing was changed here.")
            else:
                profile = await home.people.profile(user_id, PATIENCE)
                zone = profile.zone
                workspace = await self._workspace(home, team_id)
                message = await reply(home, Person(workspace.id, "slack", profile))
        except RetryLater:
            message = _problem(
                "Slack does not say who you are just now. Nothing was changed; try again soon."
            )
        except TokenDead:
            message = _problem(
                "Slack refuses Rollcall's token. Nothing was changed; an admin must reinstall it."
            )
        except (NobodyThere, Refused) as problem:
            log.warning("Slack does not show who gave a command, or whom it named: %s", problem)
            message = _problem("Slack does not show Rollcall who that is. Nothing was changed.")
        except RollcallError as problem:
            message = _problem(problem.sentence)
        except Exception:
            log.exception("A command failed")
            message = _problem("Something went wrong in Rollcall; its log says what. Please try again.")
        return self._render(message, zone)

    async def _workspace(self, home: Home, team_id: str) -> Workspace:
        if team_id == home.installation.team_id:
            return home.workspace
        return await self._core.workspace("slack", home.installation.external_id(team_id), team_id)

    def _remember(self, key: str, work: asyncio.Task[Any]) -> None:
        """What this process was given; what an earlier one was given, the core remembers."""
        self._deliveries[key] = work
        while len(self._deliveries) > REMEMBERED:
            self._deliveries.popitem(last=False)

    def _unknown(self, typed: str) -> Message:
        known = ", ".join(sorted(self._by_name))
        return Message(
            (
                ("Rollcall has no command ", Code(typed), f". Here it knows {known}."),
                ("Type ", Code(f"/{self._names[GROUP]} help"), " for more."),
                (
                    "An admin can bring Slack up to date by pasting ",
                    Code("rollcall slack-manifest"),
                    " again.",
                ),
            ),
            tone=Tone.PROBLEM,
        )

    def _render(self, message: Message, zone: str | None) -> Rendered:
        return render(message, self._core.clock.now(), zone)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that goes on, whoever waits for it or not."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _on_event(self, body: Json) -> BoltResponse:
        return BoltResponse(status=200 if self._events.take(body) else 503, body="")


async def _acknowledge(body: Json) -> BoltResponse:
    log.debug("Nobody handles a delivery of type %s", body.get("type"))
    return BoltResponse(status=200, body="")


async def _trust(enterprise_id: str | None, team_id: str | None, user_id: str | None) -> AuthorizeResult:
    """No call to Slack for each delivery: whose workspace it is, is checked where it is used."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id)


def read_text(escaped: str) -> tuple[str, tuple[str, ...]]:
    """Escaped text (`should_escape`) as it was typed, people as their ids, and those ids.

    `<@U12|bob>` → `U12`, `<#C1|general>` → `#general`, `<!here>` → `@here`, `<https://x>` → `https://x`.
    """
    mentioned: list[str] = []

    def plain(found: re.Match[str]) -> str:
        target, label = found.group(1), found.group(2)
        if target.startswith("@"):
            mentioned.append(target[1:])
            return target[1:]
        if target.startswith("#"):
            return f"#{label or target[1:]}"
        if target.startswith("!"):
            return label or f"@{target[1:]}"
        return label or target

    text = _SPECIAL.sub(plain, escaped)
    return re.sub("&(?:lt|gt|amp);", lambda one: _ENTITIES[one.group()], text).strip(), tuple(
        dict.fromkeys(mentioned)
    )


def _problem(sentence: str) -> Message:
    return Message(((sentence,),), tone=Tone.PROBLEM)


def _request_id(key: str) -> str:
    return "slack-" + hashlib.sha256(key.encode()).hexdigest()[:16]
