"""A Slack of our own for tests: a server that unmodified clients talk to, driven the way people use Slack.

    async with FakeSlack() as slack:
        slack.add_user("U1", "maria")
        ...                                      # start a client with slack.base_url and slack.bot_token
        await slack.wait_for_connection()
        reply = await slack.command("U1", "/available", "back from lunch")
        assert "Available" in reply.shown
        reply = await slack.click("U1", reply, action_id="sign_off")
        assert slack.violations == []

Commands, clicks and events go over Socket Mode, or to `request_url` by signed HTTP when that is set.
Everything a client sends is held to Slack's documentation; what breaks it is refused as Slack would, and
remembered in `violations`.

This file is what people do. `slack_delivery` hands payloads to the app; `slack_server` is the server, its
faults and waits. Beneath: `slack_workspace` and `slack_messages` (state), `slack_web` (Web API) with its
`slack_methods` (in `slack_people` and `slack_chat`), `slack_blocks` (limits), `slack_socket`, `slack_http`
(signed requests), `slack_responses` and `slack_manifest`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fakes.slack_delivery import EventDelivery, Outcome, SlackDelivery
from fakes.slack_http import HOSTILE, HttpAnswer
from fakes.slack_manifest import RESERVED_COMMANDS, validate_manifest
from fakes.slack_messages import Control, Json, Message, View
from fakes.slack_responses import ResponseUrl
from fakes.slack_socket import Ack, Envelope
from fakes.slack_workspace import BOT_SCOPES, Call, Channel, User, Workspace, World

__all__ = [
    "BOT_SCOPES",
    "HOSTILE",
    "RESERVED_COMMANDS",
    "Ack",
    "Call",
    "Channel",
    "Control",
    "Envelope",
    "EventDelivery",
    "FakeSlack",
    "HttpAnswer",
    "Message",
    "Outcome",
    "Reply",
    "User",
    "View",
    "Workspace",
    "validate_manifest",
]

_TYPED = re.compile(r"(@[\w.\-]*\w|#[\w\-]+|https?://[^\s<>|]+)")


@dataclass(frozen=True)
class Reply:
    """What a person saw happen after a command or a click: new or changed messages, or a view."""

    messages: list[Message] = field(default_factory=list)
    view: View | None = None
    error: str | None = None
    latency: float = 0.0

    @property
    def message(self) -> Message:
        """The last message that came or changed."""
        if not self.messages:
            raise AssertionError(f"nothing was shown ({self.error or 'acknowledged, but no answer'})")
        return self.messages[-1]

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def blocks(self) -> list[Json]:
        return self.message.blocks

    @property
    def shown(self) -> str:
        """Everything that can be read, views included."""
        return self.view.shown if self.view is not None else self.message.shown

    @property
    def ephemeral(self) -> bool:
        return self.message.ephemeral

    @property
    def controls(self) -> list[Control]:
        return self.view.controls if self.view is not None else self.message.controls


@dataclass(frozen=True)
class Seen:
    """What was there before the app was told, so that what came of it can be told apart."""

    messages: int
    views: dict[str, int]
    clicked: Message | None
    state: tuple[int, bool] | None

    @classmethod
    def now(cls, world: World, clicked: Message | None) -> Seen:
        state = (clicked.edits, clicked.deleted) if clicked is not None else None
        return cls(len(world.messages), {view.id: view.edits for view in world.views}, clicked, state)


class FakeSlack(SlackDelivery):
    """A Slack server on a loopback port, with one workspace `T1` in which the app is installed."""

    async def command(
        self,
        user: str,
        command: str,
        text: str = "",
        channel: str | None = None,
        *,
        expect_reply: bool = True,
        timeout: float | None = None,
    ) -> Reply:
        """Type a slash command: in a channel's id, in `direct` (the app's messages tab), or in #general.

        Answers when something is shown: the acknowledgement's message, one by response URL, an ephemeral
        one or a modal; with `expect_reply=False` as soon as it is acknowledged.
        """
        person, workspace, place = self._whereabouts(user, channel)
        if self.commands is not None and command not in self.commands:
            return self._failed(f"{command} is not a valid command", "invalid_command", 0.0)
        escape = self.commands is None or self.commands[command]
        url = self.responses.new("commands", workspace.id, place.id, user, None)
        payload = {
            "token": "deprecated-verification-token",
            "team_id": workspace.id,
            "team_domain": workspace.domain,
            "channel_id": place.id,
            "channel_name": place.name,
            "user_id": user,
            "user_name": person.name,
            "command": command,
            "text": self.rendered(text, workspace) if escape else text,
            "api_app_id": self.app_id,
            "is_enterprise_install": "false",
            "response_url": self._origin + url.path,
            "trigger_id": self.world.trigger(workspace.id, user),
        }
        if workspace.enterprise_id:
            payload |= {"enterprise_id": workspace.enterprise_id, "enterprise_name": workspace.name}
        seen = Seen.now(self.world, None)
        outcome = await self._hand_over("slash_commands", payload, url)
        if outcome.error is not None:
            told = f'{command} failed with the error "{outcome.error}"'
            return self._failed(f"{user}: {told}", outcome.error, outcome.latency)
        self._show_ack(url, outcome.body)
        return await self._reply(user, url, seen, outcome, expect_reply, timeout)

    async def click(
        self,
        user: str,
        on: Reply | Message | View,
        action_id: str | None = None,
        *,
        value: str | None = None,
        text: str | None = None,
        expect_change: bool = True,
        timeout: float | None = None,
    ) -> Reply:
        """Press the button with this action id, value or label; for a menu `value` is the option chosen.

        Answers what changed: the clicked message, an answer by response URL, an ephemeral message or a
        view; with `expect_change=False` as soon as it is acknowledged.
        """
        target = on if not isinstance(on, Reply) else on.view or on.message
        control = _control(target, action_id, value, text)
        person, workspace, _ = self._whereabouts(user, None)
        action = dict(control.element) | {"block_id": control.block_id, "action_ts": self.world.ts()}
        if "options" in control.element:
            chosen = [one for one in action.pop("options") if one["value"] == value]
            action["selected_option"] = chosen[0]
        payload = self._interaction("block_actions", person, workspace) | {"actions": [action]}
        url = None
        if isinstance(target, View):
            payload |= {
                "container": {"type": "view", "view_id": target.id},
                "view": target.as_json(),
            }
        else:
            assert not target.deleted, "that message is gone"
            assert target.only_for in {None, user}, f"{user} can't see a message only for {target.only_for}"
            url = self.responses.new("actions", workspace.id, target.channel, user, target)
            payload |= self._on_message(target, workspace)
            payload["response_url"] = self._origin + url.path
        seen = Seen.now(self.world, target if isinstance(target, Message) else None)
        outcome = await self._hand_over("interactive", payload, url)
        if outcome.error is not None:
            told = f"{user}: {control.action_id} failed: {outcome.error}"
            return self._failed(told, outcome.error, outcome.latency)
        if outcome.body:
            self.world.violate("interactive", "an acknowledgement of block_actions shows nothing")
        return await self._reply(user, url, seen, outcome, expect_change, timeout)

    async def submit(self, user: str, view: View, values: Json | None = None) -> Outcome:
        """Send a modal off, `values` as in `view.state.values`; the outcome's body is the response action."""
        person, workspace, _ = self._whereabouts(user, None)
        sent = view.as_json() | {"state": {"values": values or {}}}
        payload = self._interaction("view_submission", person, workspace) | {"view": sent}
        outcome = await self._hand_over("interactive", payload | {"response_urls": []}, None)
        allowed = {"errors", "update", "push", "clear"}
        if outcome.body and outcome.body.get("response_action") not in allowed:
            self.world.violate("view_submission", "response_action is none of " + ", ".join(sorted(allowed)))
        return outcome

    async def open_home(self, user: str, timeout: float | None = None) -> View:
        """Open the app's Home tab; the view the app has published for this person."""
        workspace = self.world.workspaces[self.user(user).team_id]
        direct = self.world.direct_channel(workspace, user).id
        await self.event("app_home_opened", team=workspace.id, user=user, channel=direct, tab="home")
        view = await self.world.until(
            lambda: next((v for v in self.world.views if v.user == user and v.body["type"] == "home"), None),
            timeout or self.patience,
        )
        assert view is not None, f"no App Home was published for {user}"
        return view

    def rendered(self, typed: str, workspace: Workspace) -> str:
        """Typed text as a command with `should_escape` gets it: `@maria` becomes `<@U1|maria>`."""
        people = {f"@{user.name}": f"<@{user.id}|{user.name}>" for user in workspace.users.values()}
        places = {f"#{one.name}": f"<#{one.id}|{one.name}>" for one in workspace.channels.values()}
        known = people | places | {f"@{one}": f"<!{one}>" for one in ("here", "channel", "everyone")}
        parts = []
        for part in _TYPED.split(typed):
            plain = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            parts.append(known.get(part, f"<{plain}>" if part.startswith(("http://", "https://")) else plain))
        return "".join(parts)

    def _whereabouts(self, user: str, channel: str | None) -> tuple[User, Workspace, Channel]:
        person = self.user(user)
        workspace = self.world.workspaces[person.team_id]
        named = user if channel == "direct" else channel or f"C{workspace.id[1:]}"
        place = self.world.channel(workspace, named)
        place.members.add(user)
        return person, workspace, place

    def _interaction(self, kind: str, person: User, workspace: Workspace) -> Json:
        who = {"id": person.id, "username": person.name, "name": person.name, "team_id": workspace.id}
        return {
            "type": kind,
            "user": who,
            "api_app_id": self.app_id,
            "token": "deprecated-verification-token",
            "trigger_id": self.world.trigger(workspace.id, person.id),
            "team": {"id": workspace.id, "domain": workspace.domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _on_message(self, message: Message, workspace: Workspace) -> Json:
        channel = workspace.channels[message.channel]
        container = {"type": "message", "message_ts": message.ts, "channel_id": channel.id}
        payload: Json = {
            "container": container | {"is_ephemeral": message.ephemeral},
            "channel": {"id": channel.id, "name": channel.name},
            "state": {"values": {}},
        }
        # Slack leaves the message out of clicks on ephemeral ones: an app can't count on it.
        shown = {} if message.ephemeral else {"message": self.world.message_json(workspace, message)}
        return payload | shown

    def _failed(self, told: str, error: str, latency: float) -> Reply:
        self.errors_shown.append(told)
        return Reply(error=error, latency=latency)

    async def _reply(
        self,
        user: str,
        url: ResponseUrl | None,
        seen: Seen,
        outcome: Outcome,
        expected: bool,
        timeout: float | None,
    ) -> Reply:
        def concerns(message: Message) -> bool:
            whispered = message.via == "chat.postEphemeral" and message.only_for == user
            return whispered or (url is not None and message.answering == url.path)

        def look() -> Reply | None:
            new = [m for m in self.world.messages[seen.messages :] if concerns(m)]
            if seen.clicked is not None and (seen.clicked.edits, seen.clicked.deleted) != seen.state:
                new.append(seen.clicked)
            view = next(
                (v for v in self.world.views if v.user == user and seen.views.get(v.id, -1) != v.edits), None
            )
            if not new and view is None:
                return None
            return Reply(new, view, latency=outcome.latency)

        found = await self.world.until(look, (timeout or self.patience) if expected else 0.0)
        return found or Reply(latency=outcome.latency)


def _control(target: Message | View, action_id: str | None, value: str | None, text: str | None) -> Control:
    for control in target.controls:
        options = [one["value"] for one in control.element.get("options", [])]
        if (
            action_id in {None, control.action_id}
            and (value is None or value == control.value or value in options)
            and text in {None, control.text}
        ):
            return control
    there = ", ".join(f"{c.action_id}={c.value!r} {c.text!r}" for c in target.controls) or "nothing to click"
    raise AssertionError(f"no control {action_id=} {value=} {text=}; there is: {there}")
