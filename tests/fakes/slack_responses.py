"""Response URLs: how an app answers a command or a click after its acknowledgement.

docs.slack.dev/interactivity/handling-user-interaction: five uses within thirty minutes; ephemeral unless
`in_channel`; `replace_original` and `delete_original` act on the message that was clicked, or on what
was answered before. docs.slack.dev/apis/web-api/rate-limits: whatever takes messages by HTTP may answer 429
with a Retry-After. Slack does not say whether a use that it refused counts as one of the five: here it does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from aiohttp import web
from fakes.slack_blocks import message_problems
from fakes.slack_messages import Json, Message
from fakes.slack_web import Fault
from fakes.slack_workspace import World

USES = 5
LIFETIME = 30 * 60.0
_FIELDS: dict[str, type] = {
    "text": str,
    "blocks": list,
    "attachments": list,
    "response_type": str,
    "replace_original": bool,
    "delete_original": bool,
    "thread_ts": str,
    "unfurl_links": bool,
    "unfurl_media": bool,
    "mrkdwn": bool,
    "metadata": dict,
}


@dataclass
class ResponseUrl:
    """One response URL, the message it may replace, and how often it was used."""

    path: str
    team_id: str
    channel: str
    user: str
    ends_at: float
    original: Message | None
    used: int = 0
    not_before: float = 0.0


def response_problems(body: object) -> list[tuple[str, str]]:
    """What is wrong with an answer to a command or a click, as (error, explanation)."""
    if not isinstance(body, dict):
        return [("invalid_payload", "not an object")]
    found = [("invalid_payload", f"undocumented field {key!r}") for key in sorted(set(body) - set(_FIELDS))]
    for key, kind in _FIELDS.items():
        if body.get(key) is not None and not isinstance(body[key], kind):
            found.append(("invalid_payload", f"{key} is not {kind.__name__}"))
    if body.get("response_type") not in {None, "ephemeral", "in_channel"}:
        found.append(("invalid_payload", f"response_type {body['response_type']!r}"))
    if found or body.get("delete_original"):
        return found
    return message_problems(body)


class ResponseUrls:
    """Every response URL that was handed out."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.base = ""
        self.faults: list[Fault] = []
        self.impatient: list[str] = []
        self.statuses: list[int] = []
        """What was answered, in order."""
        self._urls: dict[str, ResponseUrl] = {}

    def new(self, kind: str, team_id: str, channel: str, user: str, original: Message | None) -> ResponseUrl:
        path = f"/{kind}/{team_id}/{self.world.number()}/{self.world.number():024x}"
        ends_at = self.world.clock() + LIFETIME
        url = ResponseUrl(path, team_id, channel, user, ends_at, original)
        self._urls[path] = url
        return url

    async def handle(self, http: web.Request) -> web.Response:
        answer = await self._answer(http)
        self.statuses.append(answer.status)
        self.world.changed()
        return answer

    async def _answer(self, http: web.Request) -> web.Response:
        url = self._urls.get(http.path)
        if url is None:
            self.world.violate("response_url", f"{http.path} was never given out")
            return web.json_response({"ok": False, "error": "invalid_url"}, status=404)
        if self.world.clock() > url.ends_at:
            self.world.violate("response_url", "used after 30 minutes")
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if url.used >= USES:
            self.world.violate("response_url", f"used more than {USES} times")
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        url.used += 1
        if (left := url.not_before - self.world.clock()) > 0:
            self.impatient.append(f"response_url used {left:.2f} s before its Retry-After had passed")
        fault = next((one for one in self.faults if one.takes("response_url")), None)
        if fault is not None and fault.retry_after is not None:
            url.not_before = self.world.clock() + fault.retry_after
            return web.Response(status=429, headers={"Retry-After": str(fault.retry_after)})
        if fault is not None and fault.status is not None:
            return web.Response(status=fault.status, text="upstream error")
        try:
            body = json.loads(await http.text())
        except ValueError:
            body = None
        if problems := response_problems(body):
            for _, what in problems:
                self.world.violate("response_url", what)
            return web.json_response({"ok": False, "error": problems[0][0]}, status=400)
        self.show(url, body, "response_url")
        return web.Response(text="ok")

    def show(self, url: ResponseUrl, body: Json, via: str) -> None:
        """What people see of an answer that was already checked."""
        if url.original is not None and body.get("delete_original"):
            url.original.deleted, url.original.answering = True, url.path
            self.world.changed()
        elif url.original is not None and body.get("replace_original"):
            url.original.answering = url.path
            self.world.rewrite(url.original, body)
        elif not body.get("delete_original"):
            workspace = self.world.workspaces[url.team_id]
            only_for = None if body.get("response_type") == "in_channel" else url.user
            message = self.world.post(workspace, url.channel, body, via, only_for, url.path)
            if url.original is None:
                url.original = message
