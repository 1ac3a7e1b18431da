"""Keys for programs: made, checked, rotated and revoked. A key is `rc_<id>_<secret>` and is shown once.

Only the SHA-256 of the secret is kept. That is enough, and a slow hash would be worse: the secret is
256 random bits, so there is no dictionary to try, and a slow hash would be paid on every request.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hmac import compare_digest

from msgspec.structs import replace

from bot.domain.errors import BadInput, NotFound
from bot.domain.events import AuditEntry
from bot.domain.ids import ALPHABET, new_id
from bot.message import words
from bot.ports import ApiKey, Transaction
from bot.service.teams import known

SCOPES = ("read", "presence", "route", "admin")
"""What a key may do; each is given by name, none contains another."""
ID_LENGTH, SECRET_LENGTH = 26, 52
"""Characters of base 32: a UUIDv7, and 256 random bits (51.2 characters, so 52)."""
LENGTH = len("rc_") + ID_LENGTH + len("_") + SECRET_LENGTH
_NAMED = re.compile(rf"(?:rc_)?(?P<id>[{ALPHABET}]{{{ID_LENGTH}}})(?:_\S*)?")
LONGEST_OVERLAP = timedelta(days=30)
_NOBODY = b"\0" * hashlib.sha256().digest_size
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NONE = ApiKey("", "", "", (), _NOBODY, _LONG_AGO, _LONG_AGO, old_hash=_NOBODY)
"""Compared with where there is no such key, so that an unknown id takes as long as a wrong secret."""


def create(
    tx: Transaction,
    organization_id: str,
    name: str,
    scopes: Collection[str],
    now: datetime,
    lasts: timedelta | None = None,
    actor: str = "operator",
    teams: Collection[str] = (),
) -> str:
    """Make a key that expires after `lasts` (None: never) and is of these teams alone (none: of the whole
    organization). Answers its text, which is kept nowhere.

    Raises BadInput for a name without letters, or a scope or team that there is not.
    """
    name = words(name, 60)
    if not name:
        raise BadInput("A key needs a name that says what it is for, such as chatwoot.", field="name")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        wrong = f"There is no scope {words(unknown[0], 20)}. " if unknown else ""
        raise BadInput(f"{wrong}Give a key one or more of {', '.join(SCOPES)}.", field="scope")
    bound = known(tx.members.teams(organization_id), teams, "teams")
    key_id, secret = new_id("key", now).removeprefix("key_"), _secret()
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    expires_at = None if lasts is None else now + lasts
    tx.ledger.add_key(
        ApiKey(key_id, organization_id, name, ordered, hash_of(secret.encode()), now, expires_at, teams=bound)
    )
    said = {"name": name, "scopes": " ".join(ordered), "teams": " ".join(bound)}
    _audit(tx, organization_id, actor, "key.created", key_id, now, said)
    return f"rc_{key_id}_{secret}"


def _secret() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))


def rotate(
    tx: Transaction,
    organization_id: str,
    key_id: str,
    now: datetime,
    overlap: timedelta,
    actor: str = "operator",
) -> str:
    """Give a key a new secret; the one it has holds for `overlap` yet, one from before that no longer.
    Answers the new text, which is kept nowhere.

    Raises NotFound when the organization has no such key that stands, BadInput for an overlap below
    nothing or above 30 days.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise BadInput("The old secret may hold for 0 s to 30 days more, such as 24h.", field="overlap")
    key = standing(tx, organization_id, key_id, now)
    secret, until = _secret(), now + overlap
    tx.ledger.rotate_key(key.id, hash_of(secret.encode()), now, until)
    said = {"old_until": until.isoformat().replace("+00:00", "Z")}
    _audit(tx, organization_id, actor, "key.rotated", key_id, now, said)
    return f"rc_{key_id}_{secret}"


def standing(tx: Transaction, organization_id: str, key_id: str, now: datetime) -> ApiKey:
    """The organization's key of that id. Raises NotFound where it was revoked, or has expired."""
    for key in tx.ledger.keys(organization_id):
        if key.id == key_id and key.revoked_at is None and not expired(key, now):
            return key
    raise NotFound("There is no such key that still counts.")


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
    """The keys of an organization that are not revoked, as `verify` looks them up: each with a secret of
    before, so that one that was never rotated takes no other steps."""
    return {
        key.id.encode(): replace(key, old_hash=key.old_hash or _NOBODY)
        for key in keys
        if key.organization_id == organization_id and key.revoked_at is None
    }


def id_in(text: bytes) -> bytes:
    """Where the id stands in a key's text."""
    return text[3 : 3 + ID_LENGTH]


def verify(keys: Mapping[bytes, ApiKey], text: bytes, now: datetime) -> ApiKey | None:
    """The key that `text` is, or None; by the secret before a rotation, the key as it then was. Every text
    costs one hash and two comparisons, so the time taken does not tell an unknown id from a wrong secret or
    an expired key."""
    key = keys.get(id_in(text), _NONE)
    given = hash_of(text[4 + ID_LENGTH :])
    same = compare_digest(given, key.secret_hash)
    old = compare_digest(given, key.old_hash or _NOBODY)
    if not (same or old) or not text.startswith(b"rc_") or text[3 + ID_LENGTH : 4 + ID_LENGTH] != b"_":
        return None
    if not same:
        key = replace(key, secret_hash=given, expires_at=_earlier(key.expires_at, key.old_until))
    return None if expired(key, now) else key


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, (one, other)), default=None)


def same_secret(key: ApiKey, known: ApiKey, now: datetime) -> bool:
    """Whether a key that `verify` answered before still counts, `known` being the key as it now is."""
    if key.secret_hash == known.secret_hash:
        return not expired(known, now)
    by_old = key.secret_hash == known.old_hash and known.old_until is not None and now <= known.old_until
    return by_old and not expired(known, now)


def expired(key: ApiKey, now: datetime) -> bool:
    """Whether its time is over."""
    return key.expires_at is not None and now > key.expires_at


def hash_of(secret: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret).digest()


def _audit(
    tx: Transaction,
    organization_id: str,
    actor: str,
    action: str,
    key_id: str,
    now: datetime,
    said: Mapping[str, str] | None = None,
) -> None:
    entry = AuditEntry(new_id("aud", now), organization_id, now, actor, action, f"key:{key_id}", said or {})
    tx.ledger.audit(entry)
