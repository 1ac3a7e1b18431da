"""Row 32: whoever guesses keys learns nothing from the time it takes, and is slowed down."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from types import FrameType
from typing import Any

import pytest
from http_house import START, House, house

from adapters.http import access as guarded
from bot.domain.ids import ALPHABET
from bot.ports import ApiKey
from bot.service import keys


async def guesses(at: House) -> tuple[dict[bytes, ApiKey], dict[str, Iterator[bytes]]]:
    """The known keys, and endless wrong texts of the same length, by what is wrong with them."""
    good = (await at.key("read")).encode()
    rotated = (await at.key("read")).encode()
    owner, now = at.core.organization_id, at.clock.now()
    await at.store.write(lambda tx: keys.rotate(tx, owner, rotated[3:29].decode(), now, timedelta(seconds=1)))
    found = await at.store.read(lambda tx: tx.ledger.keys())
    chance = random.Random(32)

    def some(length: int) -> bytes:
        return "".join(chance.choice(ALPHABET) for _ in range(length)).encode()

    def wrong_behind(right: int, text: bytes = good) -> Iterator[bytes]:
        while True:
            guess = text[: 30 + right] + some(52 - right)
            if guess != text:
                yield guess

    def unknown() -> Iterator[bytes]:
        while True:
            yield b"rc_" + some(26) + b"_" + good[30:]

    return keys.by_id(found, owner), {
        "unknown id": unknown(),
        "nothing right": wrong_behind(0),
        "half right": wrong_behind(26),
        "all but one right": wrong_behind(51),
        "of a rotated key": wrong_behind(51, rotated),
    }


def steps_of(known: dict[bytes, ApiKey], text: bytes) -> int:
    """How many steps of Python a check takes, in `verify` and whatever it calls of its own file; what comes
    between, such as the garbage collector, is none of them."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != keys.__file__:
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()  # that of coverage, say
    sys.settrace(trace)
    try:
        answer = keys.verify(known, text, START + timedelta(hours=1))
    finally:
        sys.settrace(before)
    assert answer is None
    return steps


async def test_every_wrong_key_takes_the_same_steps() -> None:
    """Not one more or less among hundreds of guesses of each kind, however much of them is right: this is
    counted, so that no load of the machine can be taken for a difference or hide one. What is called in C
    is one hash of as many bytes and two comparisons that take constant time (`test_http_keys`)."""
    async with house() as at:
        known, wrong = await guesses(at)
        steps = {kind: {steps_of(known, next(texts)) for _ in range(200)} for kind, texts in wrong.items()}
        assert len(set().union(*steps.values())) == 1, steps


async def test_the_time_of_wrong_keys_is_the_same_within_the_noise() -> None:
    """Medians of many, in turns, so that whatever else the machine does comes to all of them alike. Wide
    bounds: without the hash for an unknown id it would be a third."""
    async with house() as at:
        known, wrong = await guesses(at)
        took: dict[str, list[int]] = {kind: [] for kind in wrong}
        for _ in range(3000):
            for kind, texts in wrong.items():
                text = next(texts)
                began = time.perf_counter_ns()
                keys.verify(known, text, START)
                took[kind].append(time.perf_counter_ns() - began)
        medians = {kind: statistics.median(times) for kind, times in took.items()}
        assert max(medians.values()) < 2 * min(medians.values()), medians


async def test_a_right_key_is_answered_from_where_keys_are_guessed() -> None:
    async with house() as at:
        right = await at.key("read")
        path = "/v1/teams"
        told = [(await at.ask(path, key=f"rc_{number}")).status_code for number in range(70)]
        assert told == [401] * 60 + [429] * 10
        assert (await at.ask(path, key=right)).status_code == 200
        slowed = await at.ask(path, key="rc_x")
        assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "1")
        await at.clock.advance(seconds=1)
        assert (await at.ask(path, key="rc_x")).status_code == 401


async def test_addresses_are_kept_only_so_many_and_who_goes_on_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guessing from thousands of addresses neither fills the memory nor makes who guesses most forgotten."""
    monkeypatch.setattr(guarded, "MOST_ADDRESSES", 100)
    async with house() as at:
        access = guarded.Access(at.core, 6000)
        status = 0
        for number in range(5000):
            access.refusal(f"10.0.{number // 250}.{number % 250}", 1.0)
            status = access.refusal("192.0.2.1", 1.0).kind.status
        assert len(access._wrong._buckets) == 100
        assert status == 429


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
        ("no:address", "no:other", False),
    ],
)
def test_one_customer_is_one_address(one: str, other: str, same: bool) -> None:
    assert (guarded._neighbourhood(one) == guarded._neighbourhood(other)) is same
