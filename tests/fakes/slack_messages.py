"""What people see in the fake Slack, messages and views, and what they can press in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_PING = re.compile(r"<!(?:channel|here|everyone|group)(?:\|[^>]*)?>|<!subteam\^[^>]+>|<@[UW][^>]+>")
_LINKED_PING = re.compile(r"@(?:channel|here|everyone)\b")


@dataclass(frozen=True)
class Control:
    """Something in a message or view that a person can click, as it stands there."""

    block_id: str
    element: Json

    @property
    def action_id(self) -> str:
        return str(self.element["action_id"])

    @property
    def text(self) -> str:
        return str(self.element.get("text", {}).get("text", ""))

    @property
    def value(self) -> str | None:
        value = self.element.get("value")
        return None if value is None else str(value)


def controls_of(blocks: list[Json]) -> list[Control]:
    """Every clickable element of the blocks, in the order in which people see them."""
    found = []
    for block in blocks:
        elements = list(block.get("elements", [])) if block["type"] in {"actions", "context_actions"} else []
        if isinstance(block.get("accessory"), dict):
            elements.append(block["accessory"])
        if block["type"] == "input":
            elements.append(block["element"])
        found += [Control(block["block_id"], e) for e in elements if "action_id" in e]
    return found


def text_objects(value: Any) -> Iterator[Json]:
    """Every text object inside blocks, buttons' labels included, in order."""
    if isinstance(value, list):
        for item in value:
            yield from text_objects(item)
    elif isinstance(value, dict):
        if value.get("type") in {"plain_text", "mrkdwn"} and isinstance(value.get("text"), str):
            yield value
        elif value.get("type") == "markdown":
            yield {"type": "mrkdwn", "text": value["text"]}
        else:
            for item in value.values():
                yield from text_objects(item)


@dataclass
class Message:
    """A message somebody can see: in a channel, in a direct message, or only by one person."""

    ts: str
    team_id: str
    channel: str
    text: str
    blocks: list[Json]
    via: str
    only_for: str | None = None
    answering: str | None = None
    thread_ts: str | None = None
    links_names: bool = False
    edits: int = 0
    deleted: bool = False
    sent: Json = field(default_factory=dict)

    @property
    def ephemeral(self) -> bool:
        return self.only_for is not None

    @property
    def shown(self) -> str:
        """What is read on the screen: the blocks' text when there are blocks (text is then a fallback)."""
        if not self.blocks:
            return self.text
        return "\n".join(str(t["text"]) for t in text_objects(self.blocks))

    @property
    def controls(self) -> list[Control]:
        return controls_of(self.blocks)

    @property
    def pings(self) -> list[str]:
        """Every mention that would notify somebody, in marked-up text only: plain text pings nobody."""
        marked = [self.text] + [t["text"] for t in text_objects(self.blocks) if t["type"] == "mrkdwn"]
        found = [ping for text in marked for ping in _PING.findall(text)]
        if self.links_names:
            found += [ping for text in marked for ping in _LINKED_PING.findall(text)]
        return found


@dataclass
class View:
    """A modal or a person's App Home."""

    id: str
    team_id: str
    user: str
    body: Json
    hash: str
    edits: int = 0

    @property
    def controls(self) -> list[Control]:
        return controls_of(self.body["blocks"])

    @property
    def shown(self) -> str:
        return "\n".join(str(t["text"]) for t in text_objects(self.body["blocks"]))

    def as_json(self) -> Json:
        known = {"private_metadata": "", "callback_id": "", "external_id": ""} | self.body
        return known | {"id": self.id, "team_id": self.team_id, "hash": self.hash, "state": {"values": {}}}
