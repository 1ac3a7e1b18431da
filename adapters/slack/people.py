"""Who somebody is, from Slack's user objects: asked for once, then kept current by `user_change`."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from adapters.slack.web import Refused, Web
from bot.ports import Clock, PersonKind, Profile

KEPT = 5000
FRESH = 3600.0
"""Seconds after which a profile is asked for again, should a `user_change` have been missed."""


class Installation(Struct, frozen=True):
    """Where the bot token belongs, as `auth.test` says."""

    team_id: str
    team_name: str
    bot_user: str
    enterprise_id: str = ""
    org_wide: bool = False

    def external_id(self, team_id: str) -> str:
        """How a workspace is keyed: the team id, or `enterprise:team` where the app is installed org-wide."""
        return f"{self.enterprise_id}:{team_id}" if self.org_wide else team_id

    def covers(self, team_id: str, enterprise_id: str) -> bool:
        """Whether the token was given for that workspace."""
        return team_id == self.team_id or (self.org_wide and enterprise_id == self.enterprise_id)


class Known(Struct, frozen=True):
    """A profile with Slack's own `updated`, by which late events are told."""

    profile: Profile
    updated: int
    asked: float
    deleted: bool


class NobodyThere(Exception):
    """Slack knows nobody by that id, or does not show them."""


def profile_of(user: Mapping[str, Any], home: Installation) -> Profile:
    """A user object (docs.slack.dev/reference/objects/user-object), reduced ones too, as a Profile."""
    shown = user.get("profile") or {}
    name = shown.get("display_name") or user.get("real_name") or shown.get("real_name") or user.get("name")
    kind = _kind(user, home)
    return Profile(
        external_id=str(user["id"]),
        name=str(name or user["id"]),
        zone=_zone(user.get("tz")),
        avatar_url=str(shown.get("image_192") or shown.get("image_72") or ""),
        is_admin=kind is PersonKind.MEMBER and bool(user.get("is_admin") or user.get("is_owner")),
        may_enrol=kind is PersonKind.MEMBER and not user.get("deleted"),
        kind=kind,
    )


def _kind(user: Mapping[str, Any], home: Installation) -> PersonKind:
    if user.get("is_bot") or user.get("id") == "USLACKBOT":
        return PersonKind.BOT
    of_enterprise = (user.get("enterprise_user") or {}).get("enterprise_id")
    same_company = bool(home.enterprise_id) and of_enterprise == home.enterprise_id
    if user.get("is_stranger") or (user.get("team_id") not in {None, home.team_id} and not same_company):
        return PersonKind.STRANGER
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return PersonKind.GUEST
    return PersonKind.MEMBER


def _zone(named: object) -> str | None:
    try:
        ZoneInfo(str(named or ""))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return str(named)


class People:
    """Profiles of one workspace's people."""

    def __init__(self, web: Web, clock: Clock, home: Installation) -> None:
        self.home = home
        self._web = web
        self._clock = clock
        self._known: OrderedDict[str, Known] = OrderedDict()

    async def profile(self, user_id: str, within: float) -> Profile:
        """What Slack says of them, remembered for an hour.

        Raises NobodyThere, TokenDead, or RetryLater after `within` seconds; somebody known already is
        answered for from memory then.
        """
        known = self._known.get(user_id)
        if known is not None and self._clock.monotonic() - known.asked < FRESH:
            return known.profile
        return (await self.ask(user_id, within)).profile

    async def ask(self, user_id: str, within: float) -> Known:
        """The same, asked anew."""
        try:
            answer = await self._web.patiently("users.info", within, user=user_id)
        except Refused as no:
            if no.error in {"user_not_found", "user_not_visible"}:
                raise NobodyThere(user_id) from None
            raise
        user = answer["user"]
        self.learn(user)
        return self._known[user_id]

    def zone(self, user_id: str) -> str | None:
        """The reader's zone, if it is remembered."""
        known = self._known.get(user_id)
        return known.profile.zone if known else None

    def learn(self, user: Mapping[str, Any]) -> Known | None:
        """Remember a user object; None if a newer one of theirs was seen already."""
        user_id, updated = str(user["id"]), int(user.get("updated") or 0)
        before = self._known.get(user_id)
        if before is not None and updated < before.updated:
            return None
        deleted = bool(user.get("deleted"))
        known = Known(profile_of(user, self.home), updated, self._clock.monotonic(), deleted)
        self._known[user_id] = known
        self._known.move_to_end(user_id)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known
