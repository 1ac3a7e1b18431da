"""Slack's HTTP requests at our own server: only what Slack signed within five minutes reaches Bolt.

Bolt's own check is switched off because slack_sdk's verifier raises on a signature that is not ASCII and
on a timestamp that is no number, which would answer 500; it is done here, by the same verifier.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import Clock as SignatureClock
from slack_sdk.signature import SignatureVerifier

from adapters.slack.manifest import PATH
from bot.ports import Clock

LARGEST = 1 << 20
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Now(SignatureClock):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now().timestamp()


class SignedRequests:
    """The ASGI application that Slack calls: 401 for whatever Slack did not sign, or never sends."""

    def __init__(self, app: AsyncApp, signing_secret: str, clock: Clock) -> None:
        self._bolt = AsyncSlackRequestHandler(app, path=PATH)
        self._verifier = SignatureVerifier(signing_secret, clock=_Now(clock))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST":
            await _answer(send, 405, "Slack posts here.")
            return
        body = await _body(receive)
        if body is None:
            return
        if len(body) > LARGEST:
            await _answer(send, 413, "That is more than Slack sends.")
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if not self._is_signed(body, headers) or not _makes_sense(body, headers.get("content-type", "")):
            await _answer(send, 401, "This is not a request that Slack signed in the last five minutes.")
            return
        await self._bolt({**scope, "path": PATH, "root_path": ""}, _again(body), send)

    def _is_signed(self, body: bytes, headers: dict[str, str]) -> bool:
        stamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        # The verifier raises on anything else: int() of a word, compare_digest of what is not ASCII.
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 15 and signature.isascii()):
            return False
        try:
            return self._verifier.is_valid(body, stamp, signature)
        except UnicodeDecodeError:
            return False


def _makes_sense(body: bytes, content_type: str) -> bool:
    """Whether it is a JSON object, a form with a command, or a form with an interaction."""
    try:
        text = body.decode("utf-8")
        if content_type.startswith("application/json"):
            return isinstance(json.loads(text), dict)
        # Bolt takes a form apart once more, so here only as far as needed.
        names = {part.partition("=")[0] for part in text.split("&")}
        if "payload" in names:
            return isinstance(json.loads(parse_qs(text, keep_blank_values=True)["payload"][0]), dict)
    except ValueError:
        return False
    return "command" in names or "ssl_check" in names


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or a little more than `LARGEST` of it; None if the sender went away."""
    body = bytearray()
    while True:
        part = await receive()
        if part["type"] != "http.request":
            return None
        body += part.get("body", b"")
        if not part.get("more_body", False) or len(body) > LARGEST:
            return bytes(body)


def _again(body: bytes) -> Receive:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
