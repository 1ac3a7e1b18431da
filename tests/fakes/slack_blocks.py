"""Whether text, blocks, messages and views keep to Slack's documented limits.

Limits: docs.slack.dev/reference/block-kit (each block and element), /reference/views and /messaging.
`slack_sdk.models` checks what it knows; what it lets through (undocumented keys, empty text, elements
that cannot be parsed, uniqueness of ids, total counts) is checked here.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from fakes.slack_messages import Json
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View as ViewModel

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_TEXT = 40_000
VIEW_BYTES = 250_000

_BUTTON = {"type", "text", "action_id", "url", "value", "style", "confirm", "accessibility_label"}
_CHOICE = {"type", "action_id", "confirm", "focus_on_load", "placeholder"}
_ELEMENT_KEYS: dict[str, set[str]] = {
    "button": _BUTTON,
    "workflow_button": _BUTTON | {"workflow"},
    "image": {"type", "image_url", "slack_file", "alt_text"},
    "overflow": {"type", "action_id", "options", "confirm"},
    "static_select": _CHOICE | {"options", "option_groups", "initial_option"},
    "multi_static_select": _CHOICE | {"options", "option_groups", "initial_options", "max_selected_items"},
    "external_select": _CHOICE | {"initial_option", "min_query_length"},
    "users_select": _CHOICE | {"initial_user"},
    "multi_users_select": _CHOICE | {"initial_users", "max_selected_items"},
    "conversations_select": _CHOICE
    | {"initial_conversation", "default_to_current_conversation", "response_url_enabled", "filter"},
    "channels_select": _CHOICE | {"initial_channel", "response_url_enabled"},
    "datepicker": _CHOICE | {"initial_date"},
    "timepicker": _CHOICE | {"initial_time", "timezone"},
    "datetimepicker": {"type", "action_id", "initial_date_time", "confirm", "focus_on_load"},
    "checkboxes": {"type", "action_id", "options", "initial_options", "confirm", "focus_on_load"},
    "radio_buttons": {"type", "action_id", "options", "initial_option", "confirm", "focus_on_load"},
    "plain_text_input": {"type", "action_id", "initial_value", "multiline", "min_length", "max_length"}
    | {"dispatch_action_config", "focus_on_load", "placeholder"},
    "number_input": {"type", "is_decimal_allowed", "action_id", "initial_value", "min_value", "max_value"}
    | {"dispatch_action_config", "focus_on_load", "placeholder"},
}
_OPTION_KEYS = {"text", "value", "description", "url"}
_CONFIRM_TEXTS = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
_OPTION_COUNT = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}
_VIEW_KEYS = {"type", "title", "blocks", "close", "submit", "private_metadata", "callback_id"} | {
    "clear_on_close",
    "notify_on_close",
    "external_id",
    "submit_disabled",
}


def message_problems(body: Json) -> list[tuple[str, str]]:
    """What is wrong with a message's text and blocks, as (Slack's error, explanation)."""
    problems: list[tuple[str, str]] = []
    text, blocks = body.get("text"), body.get("blocks")
    if text is not None and not isinstance(text, str):
        problems.append(("invalid_arguments", "text is not a string"))
    elif text is not None and len(text) > MESSAGE_TEXT:
        problems.append(("msg_too_long", f"text has {len(text)} characters, at most {MESSAGE_TEXT}"))
    if blocks is not None:
        found = block_problems(blocks, "message")
        kind = "invalid_blocks_format" if not isinstance(blocks, list) else "invalid_blocks"
        problems += [(kind, problem) for problem in found]
    if body.get("markdown_text") is not None:
        if text is not None or blocks is not None:
            problems.append(("markdown_text_conflict", "markdown_text beside text or blocks"))
        elif len(body["markdown_text"]) > 12_000:
            problems.append(("msg_too_long", "markdown_text has over 12000 characters"))
    if not any(body.get(key) for key in ("text", "blocks", "attachments", "markdown_text")):
        problems.append(("no_text", "neither text nor blocks"))
    return problems


def view_problems(view: Any) -> list[tuple[str, str]]:
    """What is wrong with a modal or an App Home, as (Slack's error, explanation)."""
    if not isinstance(view, dict):
        return [("invalid_arguments", "view is not an object")]
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        return [("view_too_large", "view has over 250 kB")]
    found = _unknown(view, _VIEW_KEYS, "view")
    kind = view.get("type")
    if kind not in {"modal", "home"}:
        return [("invalid_arguments", f"view type {kind!r} is neither modal nor home")]
    blocks = view.get("blocks")
    found += block_problems(blocks, kind)
    for name in ("title", "submit", "close"):
        if name in view:
            found += _text(view[name], f"view {name}", 24, plain=True)
    if kind == "modal" and "title" not in view:
        found.append("a modal needs a title")
    has_input = any(isinstance(b, dict) and b.get("type") == "input" for b in blocks or [])
    if kind == "modal" and has_input and "submit" not in view:
        found.append("a modal with input needs submit")
    if not found:
        found += _model_problems(lambda: ViewModel(**copy.deepcopy(view)).to_dict(), "view")
    return [("invalid_arguments", problem) for problem in found]


def block_problems(blocks: Any, surface: str) -> list[str]:
    """What is wrong with blocks on a `message`, `modal` or `home`."""
    if not isinstance(blocks, list):
        return ["blocks is not a list"]
    most = MESSAGE_BLOCKS if surface == "message" else VIEW_BLOCKS
    found = [f"{len(blocks)} blocks, at most {most}"] if len(blocks) > most else []
    for at, block in enumerate(blocks):
        found += _block(block, f"blocks[{at}]")
    ids = [b["block_id"] for b in blocks if isinstance(b, dict) and b.get("block_id")]
    found += [f"block_id {one!r} used twice" for one in {i for i in ids if ids.count(i) > 1}]
    return found


def _block(block: Any, where: str) -> list[str]:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return [f"{where} is not a block"]
    kind = block["type"]
    try:
        model = Block.parse(copy.deepcopy(block))
    except (TypeError, ValueError, AttributeError, SlackObjectFormationError) as problem:
        return [f"{where} ({kind}) cannot be read: {problem}"]
    if model is None:
        return [f"{where} has unknown type {kind!r}"]
    found = _unknown(block, set(model.attributes) | {"type", "block_id"}, where)
    if len(str(block.get("block_id", ""))) > 255:
        found.append(f"{where} block_id over 255 characters")
    if kind == "section":
        found += _section(block, where)
    elif kind == "header":
        found += _text(block.get("text"), f"{where}.text", 150, plain=True)
    elif kind in {"actions", "context_actions"}:
        found += _elements(block, where, 25 if kind == "actions" else 5)
    elif kind == "context":
        found += _context(block, where)
    elif kind == "input":
        found += _text(block.get("label"), f"{where}.label", 2000, plain=True)
        found += _element(block.get("element"), f"{where}.element")
    elif kind == "image":
        found += _image(block, where)
    elif kind == "markdown" and not 1 <= len(str(block.get("text", ""))) <= 12_000:
        found.append(f"{where}.text has {len(str(block.get('text', '')))} characters, 1 to 12000")
    return found or _model_problems(model.to_dict, where)


def _section(block: Json, where: str) -> list[str]:
    found = []
    if "text" not in block and not block.get("fields"):
        found.append(f"{where} has neither text nor fields")
    if "text" in block:
        found += _text(block["text"], f"{where}.text", 3000)
    fields = block.get("fields", [])
    if not isinstance(fields, list) or len(fields) > 10:
        found.append(f"{where} has {len(fields)} fields, at most 10")
    for at, one in enumerate(fields):
        found += _text(one, f"{where}.fields[{at}]", 2000)
    if "accessory" in block:
        found += _element(block["accessory"], f"{where}.accessory")
    return found


def _context(block: Json, where: str) -> list[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        return [f"{where} wants 1 to 10 elements"]
    found = []
    for at, element in enumerate(elements):
        if isinstance(element, dict) and element.get("type") == "image":
            found += _element(element, f"{where}.elements[{at}]")
        else:
            found += _text(element, f"{where}.elements[{at}]", 3000)
    return found


def _elements(block: Json, where: str, most: int) -> list[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= most:
        count = len(elements) if isinstance(elements, list) else "no"
        return [f"{where} has {count} elements, 1 to {most}"]
    found = [p for at, e in enumerate(elements) for p in _element(e, f"{where}.elements[{at}]")]
    ids = [e.get("action_id") for e in elements if isinstance(e, dict) and e.get("action_id")]
    return found + [f"{where} action_id {one!r} used twice" for one in {i for i in ids if ids.count(i) > 1}]


def _element(element: Any, where: str) -> list[str]:
    if not isinstance(element, dict) or element.get("type") not in _ELEMENT_KEYS:
        kind = element.get("type") if isinstance(element, dict) else element
        return [f"{where} has unknown element type {kind!r}"]
    kind = element["type"]
    found = _unknown(element, _ELEMENT_KEYS[kind], where)
    if len(str(element.get("action_id", ""))) > 255:
        found.append(f"{where}.action_id over 255 characters")
    if kind == "button":
        found += _button(element, where)
    if kind == "image":
        found += _image(element, where)
    if "placeholder" in element:
        found += _text(element["placeholder"], f"{where}.placeholder", 150, plain=True)
    if "options" in _ELEMENT_KEYS[kind]:
        found += _options(element, where, _OPTION_COUNT.get(kind, 100))
    if "confirm" in element:
        confirm = element["confirm"]
        found += _unknown(confirm, set(_CONFIRM_TEXTS) | {"style"}, f"{where}.confirm")
        for name, most in _CONFIRM_TEXTS.items():
            found += _text(confirm.get(name), f"{where}.confirm.{name}", most, plain=True)
    return found


def _button(element: Json, where: str) -> list[str]:
    found = _text(element.get("text"), f"{where}.text", 75, plain=True)
    if "value" in element and not (isinstance(element["value"], str) and len(element["value"]) <= 2000):
        found.append(f"{where}.value is not a string of at most 2000 characters")
    if len(str(element.get("url", ""))) > 3000:
        found.append(f"{where}.url over 3000 characters")
    if "style" in element and element["style"] not in {"primary", "danger"}:
        found.append(f"{where}.style {element['style']!r} is neither primary nor danger")
    if len(str(element.get("accessibility_label", ""))) > 75:
        found.append(f"{where}.accessibility_label over 75 characters")
    return found


def _options(element: Json, where: str, most: int) -> list[str]:
    groups = element.get("option_groups")
    options = [o for g in groups for o in g.get("options", [])] if groups else element.get("options")
    if not isinstance(options, list) or not 1 <= len(options) <= (most if not groups else 100 * 100):
        return [f"{where} wants 1 to {most} options"]
    found = []
    for at, option in enumerate(options):
        here = f"{where}.options[{at}]"
        found += _unknown(option, _OPTION_KEYS, here) + _text(option.get("text"), f"{here}.text", 75)
        if not 1 <= len(str(option.get("value", ""))) <= 150:
            found.append(f"{here}.value wants 1 to 150 characters")
    return found


def _image(element: Json, where: str) -> list[str]:
    found = []
    if "slack_file" not in element and not 1 <= len(str(element.get("image_url", ""))) <= 3000:
        found.append(f"{where}.image_url wants 1 to 3000 characters")
    if not 1 <= len(str(element.get("alt_text", ""))) <= 2000:
        found.append(f"{where}.alt_text wants 1 to 2000 characters")
    return found


def _text(value: Any, where: str, most: int, plain: bool = False) -> list[str]:
    if not isinstance(value, dict) or value.get("type") not in {"plain_text", "mrkdwn"}:
        return [f"{where} is not a text object"]
    kind, text = value["type"], value.get("text")
    found = _unknown(value, {"type", "text", "emoji" if kind == "plain_text" else "verbatim"}, where)
    if plain and kind != "plain_text":
        found.append(f"{where} must be plain_text")
    if not isinstance(text, str):
        found.append(f"{where} has no text")
    elif not 1 <= len(text) <= most:
        found.append(f"{where} has {len(text)} characters, 1 to {most}")
    return found


def _unknown(value: Any, known: set[str], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is not an object"]
    return [f"{where} has undocumented {key!r}" for key in sorted(set(value) - known)]


def _model_problems(build: Any, where: str) -> list[str]:
    try:
        build()
    except (SlackObjectFormationError, TypeError, ValueError) as problem:
        return [f"{where}: {problem}"]
    return []
