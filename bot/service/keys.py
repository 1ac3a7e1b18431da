"""Keys for programs: made, checked and revoked. A key is `rc_<id>_<secret>` and is shown once.

Only the SHA-256 of the secret is kept. That is enough, and a slow hash would be worse: the secret is
256 random bits, so there is no dictionary to try, and a slow hash would be paid on every request.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hmac import compare_digest

from bot.domain.errors import BadInput
from bot.domain.events import AuditEntry
from bot.domain.ids import ALPHABET, new_id
from bot.message import words
from bot.ports import ApiKey, Transaction

SCOPES = ("read", "presence", "route", "admin")
"""What a key may do; each is given by name, none contains another."""
ID_LENGTH, SECRET_LENGTH = 26, 52
"""Characters of base 32: a UUIDv7, and 256 random bits (51.2 characters, so 52)."""
LENGTH = len("rc_") + ID_LENGTH + len("_") + SECRET_LENGTH
_NAMED = re.compile(rf"(?:rc_)?(?P<id>[{ALPHABET}]{{{ID_LENGTH}}})(?:_\S*)?")
_NOBODY = b"\0" * hashlib.sha256().digest_size
"""Compared with where there is no such key, so that an unknown id takes as long as a wrong secret."""


def create(
    tx: Transaction,
    organization_id: str,
    name: str,
    scopes: Collection[str],
    now: datetime,
    lasts: timedelta | None = None,
    actor: str = "operator",
) -> str:
    """Make a key that expires after `lasts` (None: never). Answers its text, which is kept nowhere.

    Raises BadInput for a name without letters, or a scope that there is not.
    """
    name = words(name, 60)
    if not name:
        raise BadInput("A key needs a name that says what it is for, such as chatwoot.", field="name")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        wrong = f"There is no scope {words(unknown[0], 20)}. " if unknown else ""
        raise BadInput(f"{wrong}Give a key one or more of {', '.join(SCOPES)}.", field="scope")
    key_id = new_id("key", now).removeprefix("key_")
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    expires_at = None if lasts is None else now + lasts
    tx.ledger.add_key(
        ApiKey(key_id, organization_id, name, ordered, hash_of(secret.encode()), now, expires_at)
    )
    _audit(tx, organization_id, actor, "key.created", key_id, now)
    return f"rc_{key_id}_{secret}"


def revoke(
    tx: Transaction, organization_id: str, key_id: str, now: datetime, actor: str = "operator"
) -> bool:
    """End a key at once. False when the organization has no such key that still stands."""
    standing = (key for key in tx.ledger.keys(organization_id) if key.revoked_at is None)
    if not any(key.id == key_id for key in standing) or not tx.ledger.revoke_key(key_id, now):
        return False
    _audit(tx, organization_id, actor, "key.revoked", key_id, now)
    return True


def id_of(typed: str) -> str | None:
    """The id in what somebody calls a key by: the id itself, `rc_<id>`, or a whole key. None for
    anything else, whose characters may be a secret's."""
    found = _NAMED.fullmatch(typed.strip())
    return found["id"] if found else None


def by_id(keys: Sequence[ApiKey], organization_id: str) -> dict[bytes, ApiKey]:
    """The keys of an organization that are not revoked, as `verify` looks them up."""
    return {
        key.id.encode(): key
        for key in keys
        if key.organization_id == organization_id and key.revoked_at is None
    }


def id_in(text: bytes) -> bytes:
    """Where the id stands in a key's text."""
    return text[3 : 3 + ID_LENGTH]


def verify(keys: Mapping[bytes, ApiKey], text: bytes, now: datetime) -> ApiKey | None:
    """The key that `text` is, or None. Every wrong text costs one hash and one comparison, so the
    time taken does not tell an unknown id from a wrong secret or an expired key."""
    key = keys.get(id_in(text))
    held = _NOBODY if key is None else key.secret_hash
    same = compare_digest(hash_of(text[4 + ID_LENGTH :]), held)
    if key is None or not same or not text.startswith(b"rc_") or text[3 + ID_LENGTH : 4 + ID_LENGTH] != b"_":
        return None
    return None if expired(key, now) else key


def expired(key: ApiKey, now: datetime) -> bool:
    """Whether its time is over."""
    return key.expires_at is not None and now > key.expires_at


def hash_of(secret: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret).digest()


def _audit(
    tx: Transaction, organization_id: str, actor: str, action: str, key_id: str, now: datetime
) -> None:
    tx.ledger.audit(AuditEntry(new_id("aud", now), organization_id, now, actor, action, f"key:{key_id}"))
