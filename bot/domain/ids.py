"""Identifiers: a prefix that says what it names, and a UUIDv7, so that ids sort by age."""

import os
from datetime import datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def new_id(prefix: str, at: datetime) -> str:
    """A new id such as `agt_01jd…`: 26 characters of UUIDv7 (RFC 9562) behind the prefix.

    Sorts by `at` in milliseconds; 74 bits are random, so equal instants do not collide.
    """
    millis = int(at.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return f"{prefix}_" + "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
