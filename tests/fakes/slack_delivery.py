"""How the fake hands payloads to the app: over a socket or by signed HTTP, with retries as documented."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from fakes.slack_http import Hostile, HttpAnswer, encoded, hostile, post, signed_headers
from fakes.slack_messages import Json
from fakes.slack_responses import ResponseUrl, response_problems
from fakes.slack_server import SlackServer
from fakes.slack_socket import Envelope, NoConnection


@dataclass(frozen=True)
class Outcome:
    """How the app took a payload: `error` is what Slack tells the person when it did not."""

    error: str | None
    body: Json | None
    latency: float
    http: HttpAnswer | None = None


@dataclass
class EventDelivery:
    """An event and every attempt to hand it over; retries go on in the background."""

    event_id: str
    outcomes: list[Outcome] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def acked(self) -> bool:
        return any(outcome.error is None for outcome in self.outcomes)


@dataclass
class Sent:
    """The payload that went out last, so that it can go out again."""

    kind: str
    payload: Json
    envelope: Envelope | None = None
    url: ResponseUrl | None = None


class SlackDelivery(SlackServer):
    """The events that Slack sends by itself, and the way in which everything is sent."""

    _last: Sent | None = None

    async def event(self, kind: str, *, team: str = "T1", **fields: Any) -> EventDelivery:
        """Send an event; back after the first attempt, while retries go on as Slack documents them."""
        delivery = EventDelivery(f"Ev{self.world.number():08d}")
        if self.subscriptions is not None and kind not in self.subscriptions:
            delivery.finished.set()
            return delivery
        workspace = self.world.workspaces[team]
        who = {"team_id": team, "user_id": workspace.bot_user, "is_bot": True}
        who |= {"enterprise_id": workspace.enterprise_id, "is_enterprise_install": False}
        payload = {
            "token": "deprecated-verification-token",
            "team_id": team,
            "api_app_id": self.app_id,
            "event": {"type": kind, **fields, "event_ts": self.world.ts()},
            "type": "event_callback",
            "event_id": delivery.event_id,
            "event_time": int(self.world.clock()),
            "authorizations": [who],
            "is_ext_shared_channel": False,
            "event_context": f"4-{delivery.event_id}",
        }
        if await self._attempt(delivery, payload, None):
            delivery.finished.set()
        else:
            self._background(self._retry(delivery, payload))
        return delivery

    async def user_changed(self, user: str, **fields: Any) -> EventDelivery:
        """Change a member's fields, and tell the app as Slack does: `user_change` with the whole user."""
        person = self.user(user)
        for name, value in fields.items():
            assert hasattr(person, name), f"a user has no {name}"
            setattr(person, name, value)
        person.updated = int(self.world.clock())
        scopes = self.world.tokens[self.world.workspaces[person.team_id].bot_token].scopes
        shown = person.as_json(self.world.clock(), "users:read.email" in scopes)
        return await self.event("user_change", team=person.team_id, user=shown, cache_ts=person.updated)

    async def huddle(self, user: str, inside: bool = True, seconds: float = 3600) -> EventDelivery:
        """Somebody enters or leaves a huddle: `user_huddle_changed`, which is `user_change` by another name
        and comes with it (their pages). Slack says when it will take the state for old."""
        person = self.user(user)
        person.huddle_state = "in_a_huddle" if inside else "default_unset"
        person.huddle_ends = int(self.world.clock() + seconds) if inside else 0
        changed = await self.user_changed(user)
        scopes = self.world.tokens[self.world.workspaces[person.team_id].bot_token].scopes
        shown = person.as_json(self.world.clock(), "users:read.email" in scopes)
        await self.event("user_huddle_changed", team=person.team_id, user=shown, cache_ts=person.updated)
        return changed

    async def pause(self, user: str, begins: float | None, ends: float = 0.0) -> EventDelivery | None:
        """Somebody's do-not-disturb is from one instant (seconds since 1970) to another, or (None) there is
        none: `dnd_updated_user`, which goes to apps with `dnd:read` (its page). None: nobody is told."""
        person = self.user(user)
        person.dnd = None if begins is None else (begins, ends)
        if "dnd:read" not in self.world.tokens[self.world.workspaces[person.team_id].bot_token].scopes:
            return None
        status = person.dnd_status()
        return await self.event("dnd_updated_user", team=person.team_id, user=user, dnd_status=status)

    async def deactivate(self, user: str) -> EventDelivery:
        """Remove a member from the workspace; Slack has no event of its own for it."""
        return await self.user_changed(user, deleted=True)

    async def uninstall(self, team: str = "T1", tokens_first: bool = True) -> list[EventDelivery]:
        """Remove the app from a workspace: its token dies and two events come, in either order."""
        self.revoke_token(team, "account_inactive")
        tokens = {"tokens": {"oauth": [], "bot": [self.world.workspaces[team].bot_user]}}
        events: list[tuple[str, Json]] = [("tokens_revoked", tokens), ("app_uninstalled", {})]
        ordered = events if tokens_first else events[::-1]
        return [await self.event(kind, team=team, **fields) for kind, fields in ordered]

    async def redeliver(self, times: int = 1, same_envelope: bool = True) -> None:
        """Send the last payload again, each time as soon as the one before was answered.

        Over Socket Mode the very same envelope, or (events only) as a retry with an envelope of its own.
        """
        last = self._last
        assert last is not None, "nothing was sent yet"
        for attempt in range(1, times + 1):
            if last.envelope is None or not same_envelope:
                body = (await self._send(last.kind, last.payload, (attempt, "timeout"))).body
            else:
                body = await self._again(last.envelope)
            if last.url is not None and last.kind == "slash_commands":
                self._show_ack(last.url, body)
        self._last = last

    async def _again(self, envelope: Envelope) -> Json | None:
        before = len(envelope.acks)
        await self.sockets.send(envelope)
        await self.world.until(lambda: len(envelope.acks) > before, self.ack_deadline)
        return envelope.acks[-1].payload if len(envelope.acks) > before else None

    async def send_hostile(self, variant: Hostile, url: str | None = None) -> HttpAnswer:
        """Send the app's request URL something it must refuse; `HOSTILE` names all of them."""
        body, _ = encoded("slash_commands", {"command": "/available", "user_id": "U1", "team_id": "T1"})
        body, headers = hostile(variant, self.signing_secret, self.world.clock(), body)
        return await post(self._url(url), body, headers, self.ack_deadline)

    async def verify_url(self, url: str | None = None) -> bool:
        """Slack's handshake with a request URL: does it answer the challenge?"""
        challenge = f"challenge{self.world.number()}"
        payload = {"type": "url_verification", "token": "deprecated", "challenge": challenge}
        body, content_type = encoded("events_api", payload)
        headers = signed_headers(self.signing_secret, self.world.clock(), body, content_type)
        answer = await post(self._url(url), body, headers, self.ack_deadline)
        return answer.status == 200 and challenge in answer.text

    def _url(self, url: str | None) -> str:
        chosen = url or self.request_url
        assert chosen is not None, "no request URL: set slack.request_url, or pass one"
        return chosen

    def _show_ack(self, url: ResponseUrl, body: Json | None) -> None:
        if not body:
            return
        problems = response_problems(body)
        for _, what in problems:
            self.world.violate("acknowledgement", what)
        if not problems:
            self.responses.show(url, body, "acknowledgement")

    async def _hand_over(self, kind: str, payload: Json, url: ResponseUrl | None) -> Outcome:
        outcome = await self._send(kind, payload, None)
        if self._last is not None and self._last.payload is payload:
            self._last.url = url
        return outcome

    async def _send(self, kind: str, payload: Json, retry: tuple[int, str] | None) -> Outcome:
        """Hand a payload to the app, over HTTP or a socket, and say how it was taken."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.request_url is not None:
            self._last = Sent(kind, payload)
            body, content_type = encoded(kind, payload)
            headers = signed_headers(self.signing_secret, self.world.clock(), body, content_type)
            if retry is not None:
                reason = {"timeout": "http_timeout"}.get(retry[1], retry[1])
                headers |= {"X-Slack-Retry-Num": str(retry[0]), "X-Slack-Retry-Reason": reason}
            answer = await post(self.request_url, body, headers, self.ack_deadline)
            error = None if answer.status == 200 else "dispatch_failed"
            if answer.reason == "http_timeout":
                error = "operation_timeout"
            message = answer.message if error is None else None
            return Outcome(error, message, loop.time() - began, answer)
        envelope = self.sockets.envelope(kind, payload, kind != "events_api", retry)
        self._last = Sent(kind, payload, envelope)
        try:
            ack = await self.sockets.deliver(envelope)
        except NoConnection:
            return Outcome("dispatch_failed", None, loop.time() - began)
        if ack is None:
            return Outcome("operation_timeout", None, loop.time() - began)
        return Outcome(None, ack.payload, ack.latency)

    async def _attempt(self, delivery: EventDelivery, payload: Json, retry: tuple[int, str] | None) -> bool:
        """Try once; True when there is nothing more to try."""
        outcome = await self._send("events_api", payload, retry)
        delivery.outcomes.append(outcome)
        self.world.changed()
        refused = outcome.http is not None and outcome.http.headers.get("X-Slack-No-Retry") == "1"
        return outcome.error is None or refused

    async def _retry(self, delivery: EventDelivery, payload: Json) -> None:
        for number, delay in enumerate(self.retry_delays, start=1):
            await asyncio.sleep(delay)
            reason = "timeout"
            http = delivery.outcomes[-1].http
            if http is not None:
                reason = http.reason or "http_error"
            if await self._attempt(delivery, payload, (number, reason)):
                break
        delivery.finished.set()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
