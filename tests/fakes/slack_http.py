"""Slack as a caller of an app's request URL: signed requests, and requests that must be refused.

Signing: docs.slack.dev/authentication/verifying-requests-from-slack. Slash commands come form-encoded,
interactions as a form field `payload`, events as JSON with retry headers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlencode

import aiohttp
from fakes.slack_messages import Json

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
Hostile = Literal[
    "unsigned",
    "no_timestamp",
    "stale",
    "from_the_future",
    "wrong_secret",
    "signature_of_another_body",
    "truncated_signature",
    "non_ascii_signature",
    "non_numeric_timestamp",
    "empty_signature",
    "signed_empty_body",
    "signed_garbage_json",
    "signed_garbage_form",
    "signed_not_an_object",
    "signed_binary",
]
HOSTILE: tuple[Hostile, ...] = get_args(Hostile)


@dataclass(frozen=True)
class HttpAnswer:
    """How the app answered: `status` 0 when it could not be reached or took too long (see `reason`)."""

    status: int
    headers: dict[str, str]
    text: str
    reason: str = ""

    @property
    def message(self) -> Json | None:
        """The body as a message: JSON, or plain text to show; None when it is empty."""
        if not self.text.strip():
            return None
        if self.headers.get("Content-Type", "").startswith(JSON):
            body = json.loads(self.text)
            return body if isinstance(body, dict) else {"text": str(body)}
        return {"text": self.text}


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The `X-Slack-Signature` of a body: `v0=` and the HMAC-SHA256 of `v0:timestamp:body`."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signed_headers(secret: str, now: float, body: bytes, content_type: str) -> dict[str, str]:
    stamp = str(int(now))
    headers = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
    return headers | {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": signature(secret, stamp, body),
    }


def encoded(kind: str, payload: Json) -> tuple[bytes, str]:
    """A payload as Slack sends it over HTTP, and its content type."""
    if kind == "slash_commands":
        return urlencode(payload).encode(), FORM
    if kind == "interactive":
        return urlencode({"payload": json.dumps(payload)}).encode(), FORM
    return json.dumps(payload).encode(), JSON


async def post(url: str, body: bytes, headers: dict[str, str], deadline: float) -> HttpAnswer:
    """POST as Slack does: no redirect followed, and given up after `deadline` seconds."""
    timeout = aiohttp.ClientTimeout(total=deadline)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return HttpAnswer(answer.status, dict(answer.headers), await answer.text())
    except TimeoutError:
        return HttpAnswer(0, {}, "", "http_timeout")
    except aiohttp.ClientError:
        return HttpAnswer(0, {}, "", "connection_failed")


def hostile(variant: Hostile, secret: str, now: float, body: bytes) -> tuple[bytes, dict[str, str]]:
    """A body and headers that no app may act upon; the `signed_…` ones are signed, but nonsense."""
    garbage = {
        "signed_empty_body": (b"", FORM),
        "signed_garbage_json": (b'{"type": "event_callback", "event":', JSON),
        "signed_garbage_form": (b"payload=%7Bnot+json&%%%=&command=", FORM),
        "signed_not_an_object": (b'["event_callback"]', JSON),
        "signed_binary": (bytes(range(256)), "application/octet-stream"),
    }
    if variant in garbage:
        body, content_type = garbage[variant]
        return body, signed_headers(secret, now, body, content_type)
    headers = signed_headers(secret, now, body, FORM)
    if variant == "unsigned":
        del headers["X-Slack-Signature"], headers["X-Slack-Request-Timestamp"]
    elif variant == "no_timestamp":
        del headers["X-Slack-Request-Timestamp"]
    elif variant in {"stale", "from_the_future"}:
        headers = signed_headers(secret, now + (-301 if variant == "stale" else 301), body, FORM)
    elif variant == "wrong_secret":
        headers = signed_headers(secret[::-1] + "x", now, body, FORM)
    elif variant == "signature_of_another_body":
        body += b"&text=changed"
    elif variant == "truncated_signature":
        headers["X-Slack-Signature"] = headers["X-Slack-Signature"][:-1]
    elif variant == "non_ascii_signature":
        headers["X-Slack-Signature"] = "v0=é" + headers["X-Slack-Signature"][4:]
    elif variant == "non_numeric_timestamp":
        headers["X-Slack-Request-Timestamp"] = "yesterday"
        headers["X-Slack-Signature"] = signature(secret, "yesterday", body)
    else:
        headers["X-Slack-Signature"] = ""
    return body, headers
