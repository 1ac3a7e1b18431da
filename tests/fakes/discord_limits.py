"""Discord's documented limits on what an app sends, as checks that name the field and the rule.

Stricter than Discord in one way: a field that its reference does not name is an error here, where Discord
drops it in silence. Sources: the reference on messages, embeds, components, allowed mentions, interactions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from fakes.discord_model import Json

MENTION = re.compile(r"@everyone|@here|<@!?(?P<user>\d+)>|<@&(?P<role>\d+)>")

_MESSAGE = {"content", "embeds", "allowed_mentions", "components", "attachments", "flags", "tts", "poll"}
CREATE_FIELDS = _MESSAGE | {"nonce", "enforce_nonce", "message_reference", "sticker_ids"}
# An edit documents no `tts`, but discord.py always sends it.
EDIT_FIELDS = _MESSAGE
ANSWER_FIELDS = _MESSAGE
FOLLOW_UP_FIELDS = _MESSAGE | {"username", "avatar_url", "thread_name", "applied_tags"}

_EMBED = {
    "title",
    "type",
    "description",
    "url",
    "timestamp",
    "color",
    "footer",
    "image",
    "thumbnail",
    "video",
}
_EMBED |= {"provider", "author", "fields", "flags"}
_BUTTON = {"type", "id", "style", "label", "emoji", "custom_id", "sku_id", "url", "disabled"}
_SELECT = {
    "type",
    "id",
    "custom_id",
    "options",
    "channel_types",
    "placeholder",
    "default_values",
    "min_values",
}
_SELECT |= {"max_values", "disabled", "required"}
_SELECT_TYPES = {3, 5, 6, 7, 8}
_COMPONENTS_V2 = 1 << 15


class Form:
    """Collects what is wrong with one body, to be answered in Discord's "Invalid Form Body" shape."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str, str]] = []

    def wrong(self, path: str, code: str, message: str) -> None:
        self.faults.append((path, code, message))

    def record(self, path: str, value: object, fields: Collection[str]) -> Json:
        """`value` as an object with no field beyond `fields`; an empty one if it is no object."""
        if not isinstance(value, dict):
            self.wrong(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType.")
            return {}
        for name in sorted(set(value) - set(fields)):
            self.wrong(
                f"{path}.{name}".lstrip("."), "UNKNOWN_FIELD", "This field is not in Discord's reference."
            )
        return value

    def items(self, path: str, value: object, most: int) -> list[Any]:
        """`value` as a list of at most `most`; null counts as empty."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return []
        if len(value) > most:
            self.wrong(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
        return value

    def text(self, path: str, value: object, most: int, *, least: int = 1) -> str:
        """`value` as a string of `least` to `most` characters, outer white space not counted."""
        if not isinstance(value, str):
            self.wrong(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
            return ""
        if len(value) > most:
            self.wrong(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
        elif len(value.strip()) < least:
            self.wrong(path, "BASE_TYPE_REQUIRED", "This field is required")
        return value

    def body(self) -> Json:
        """The documented error object: code 50035, and the faults nested by path."""
        errors: Json = {}
        for path, code, message in self.faults:
            place = errors
            for step in path.split(".") if path else []:
                place = place.setdefault(step, {})
            place.setdefault("_errors", []).append({"code": code, "message": message})
        return {"message": "Invalid Form Body", "code": 50035, "errors": errors}


def check_message(form: Form, value: object, fields: Collection[str], path: str = "") -> Json:
    """Check a message to be created or edited; answers it as an object."""
    at = f"{path}." if path else ""
    body = form.record(path, value, fields)
    if body.get("content") is not None:
        form.text(f"{at}content", body["content"], 2000, least=0)
    embeds = form.items(f"{at}embeds", body.get("embeds"), 10)
    total = sum(_check_embed(form, f"{at}embeds.{i}", embed) for i, embed in enumerate(embeds))
    if total > 6000:
        form.wrong(f"{at}embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")
    _check_components(form, f"{at}components", body.get("components"))
    if body.get("allowed_mentions") is not None:
        _check_allowed_mentions(form, f"{at}allowed_mentions", body["allowed_mentions"])
    if body.get("nonce") is not None:
        form.text(f"{at}nonce", str(body["nonce"]), 25)
    if not isinstance(body.get("flags", 0), int):
        form.wrong(f"{at}flags", "NUMBER_TYPE_COERCE", "Value is not an integer.")
    elif body.get("flags", 0) & _COMPONENTS_V2:
        form.wrong(f"{at}flags", "NOT_MODELLED", "This fake does not model components v2.")
    return body


def is_empty(body: Json, files: Collection[str]) -> bool:
    """Nothing to show, which Discord refuses with 50006."""
    shown = ("embeds", "components", "sticker_ids", "poll")
    return not (body.get("content") or "").strip() and not files and not any(body.get(name) for name in shown)


def pings(body: Json) -> list[str]:
    """The mentions in the content that would notify somebody; without `allowed_mentions` all of them do."""
    allowed = body.get("allowed_mentions") or {"parse": ["everyone", "users", "roles"]}
    parse = allowed.get("parse", [])
    loud = []
    for mention in MENTION.finditer(body.get("content") or ""):
        user, role = mention["user"], mention["role"]
        if user:
            kind, named = "users", user in map(str, allowed.get("users", []))
        elif role:
            kind, named = "roles", role in map(str, allowed.get("roles", []))
        else:
            kind, named = "everyone", False
        if kind in parse or named:
            loud.append(mention[0])
    return loud


def check_choices(form: Form, value: object, path: str) -> list[Json]:
    """Check choices of an option or of an autocomplete answer: at most 25, names and texts up to 100."""
    choices = form.items(path, value, 25)
    for i, choice in enumerate(choices):
        choice = form.record(f"{path}.{i}", choice, {"name", "name_localizations", "value"})
        form.text(f"{path}.{i}.name", choice.get("name"), 100)
        if isinstance(choice.get("value"), str):
            form.text(f"{path}.{i}.value", choice["value"], 100)
        elif not isinstance(choice.get("value"), int | float):
            form.wrong(f"{path}.{i}.value", "BASE_TYPE_REQUIRED", "This field is required")
    return choices


def _check_embed(form: Form, path: str, value: object) -> int:
    """Check one embed and count the characters that go into the total of 6,000."""
    embed = form.record(path, value, _EMBED)
    texts = [_optional(form, f"{path}.title", embed, "title", 256)]
    texts.append(_optional(form, f"{path}.description", embed, "description", 4096))
    if "footer" in embed:
        footer = form.record(f"{path}.footer", embed["footer"], {"text", "icon_url", "proxy_icon_url"})
        texts.append(_optional(form, f"{path}.footer.text", footer, "text", 2048))
    if "author" in embed:
        author = form.record(f"{path}.author", embed["author"], {"name", "url", "icon_url", "proxy_icon_url"})
        texts.append(_optional(form, f"{path}.author.name", author, "name", 256))
    for i, item in enumerate(form.items(f"{path}.fields", embed.get("fields"), 25)):
        item = form.record(f"{path}.fields.{i}", item, {"name", "value", "inline"})
        texts.append(form.text(f"{path}.fields.{i}.name", item.get("name"), 256))
        texts.append(form.text(f"{path}.fields.{i}.value", item.get("value"), 1024))
    return sum(map(len, texts))


def _optional(form: Form, path: str, holder: Json, name: str, most: int) -> str:
    return form.text(path, holder[name], most, least=0) if holder.get(name) is not None else ""


def _check_components(form: Form, path: str, value: object) -> None:
    seen: set[str] = set()
    for i, row in enumerate(form.items(path, value, 5)):
        at = f"{path}.{i}"
        row = form.record(at, row, {"type", "id", "components"})
        if row.get("type") != 1:
            form.wrong(f"{at}.type", "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1,).')
        inside = form.items(f"{at}.components", row.get("components"), 5)
        if not inside:
            form.wrong(f"{at}.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        for j, component in enumerate(inside):
            _check_component(form, f"{at}.components.{j}", component, seen, alone=len(inside) == 1)


def _check_component(form: Form, path: str, value: object, seen: set[str], *, alone: bool) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in _SELECT_TYPES:
        part = form.record(path, value, _SELECT)
        _check_select(form, path, part, alone=alone)
    elif kind == 2:
        part = form.record(path, value, _BUTTON)
        if part.get("label") is not None:
            form.text(f"{path}.label", part["label"], 80)
        elif part.get("emoji") is None and part.get("style") != 6:
            form.wrong(
                f"{path}.label",
                "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED",
                "A button has a label or an emoji.",
            )
        if part.get("style") not in range(1, 7):
            form.wrong(f"{path}.style", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6).")
    else:
        form.wrong(
            f"{path}.type", "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (2, 3, 5, 6, 7, 8).'
        )
        return
    if part.get("style") == 5 and kind == 2:
        form.text(f"{path}.url", part.get("url"), 512)
        if "custom_id" in part:
            form.wrong(
                path, "BUTTON_COMPONENT_CUSTOM_ID_AND_URL", "A custom id and url cannot both be specified"
            )
        return
    custom_id = form.text(f"{path}.custom_id", part.get("custom_id"), 100)
    if custom_id in seen:
        form.wrong(
            f"{path}.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated"
        )
    seen.add(custom_id)


def _check_select(form: Form, path: str, part: Json, *, alone: bool) -> None:
    if not alone:
        form.wrong(path, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "A select menu fills its row.")
    if part.get("placeholder") is not None:
        form.text(f"{path}.placeholder", part["placeholder"], 150)
    options = form.items(f"{path}.options", part.get("options"), 25)
    if part["type"] == 3 and not options:
        form.wrong(f"{path}.options", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")
    for i, option in enumerate(options):
        at = f"{path}.options.{i}"
        option = form.record(at, option, {"label", "value", "description", "emoji", "default"})
        form.text(f"{at}.label", option.get("label"), 100)
        form.text(f"{at}.value", option.get("value"), 100)
        if option.get("description") is not None:
            form.text(f"{at}.description", option["description"], 100)


def _check_allowed_mentions(form: Form, path: str, value: object) -> None:
    allowed = form.record(path, value, {"parse", "roles", "users", "replied_user"})
    parse = form.items(f"{path}.parse", allowed.get("parse"), 3)
    for i, kind in enumerate(parse):
        if kind not in ("roles", "users", "everyone"):
            form.wrong(
                f"{path}.parse.{i}",
                "BASE_TYPE_CHOICES",
                "Value must be one of ('roles', 'users', 'everyone').",
            )
    for kind in ("users", "roles"):
        named: Iterable[object] = form.items(f"{path}.{kind}", allowed.get(kind), 100)
        if named and kind in parse:
            form.wrong(
                path,
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] exclude each other.',
            )
