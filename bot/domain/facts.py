"""The facts of one agent's presence: what was chosen, what was observed, what was said.

Facts are stored; the verdict is derived from them (`presence.py`), so it is true at any instant
without anything having to run at that instant. Instants end in `_at` or are called `since`, and
are aware UTC. Whatever lasts until an instant still holds at that very instant.

The structs are msgspec's: frozen, compared by value, and a fifth of a dataclass's cost to make,
which is what a roster of 100,000 agents is made of.
"""

from datetime import date, datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from bot.domain.hints import HintKind, OnHint


class Choice(StrEnum):
    """What an agent may choose."""

    AVAILABLE = "available"
    AWAY = "away"
    OFF = "off"


class Presence(StrEnum):
    """The verdict that people see."""

    AVAILABLE = "available"
    AWAY = "away"
    OFFLINE = "offline"


class Intent(Struct, frozen=True, gc=False):
    """What the agent chose, or somebody or some rule chose for them."""

    choice: Choice
    set_at: datetime
    by: str
    """`agent`, `lead:<agent id>`, `lead:<platform>:<person>` (no agent), `api:<key id>` or `rule:<which>`."""
    reason: str = ""
    """As the agent typed it."""
    until_at: datetime | None = None
    base: "Intent | None" = None
    """The newest untimed intent beneath a timed one: what comes back when it ends."""
    reason_code: str = ""
    """What an Away is for, by the organization's code (`bot.domain.reasons`); empty without one."""


class CheckIn(Struct, frozen=True, gc=False):
    """An agent's own word that they are there, trusted until an instant (design: 8 h)."""

    identity_id: str
    at: datetime
    until_at: datetime
    warned: bool = False
    """Told that it is about to lapse."""


class LinkState(StrEnum):
    """What is known of one identity, as far as observations and their graces have brought it."""

    CONNECTED = "connected"
    SUSPECT = "suspect"
    """A disconnect within its grace."""
    IDLE = "idle"
    """Slack's weak `away`, within the time in which it proves nothing."""
    DISCONNECTED = "disconnected"


# Bound once: on Python 3.11 looking a member up costs four times as much as a name, and these are looked
# at for every link of every agent.
CONNECTED = LinkState.CONNECTED
SUSPECT = LinkState.SUSPECT
IDLE = LinkState.IDLE
DISCONNECTED = LinkState.DISCONNECTED


class Link(Struct, frozen=True, gc=False):
    """What was observed of one identity. *Unknown* is not stored: it follows from the feed."""

    identity_id: str
    feed_id: str
    state: LinkState
    since: datetime
    epoch: int
    seq: int
    weak: bool = False
    """The evidence for being away or gone is weak, so an action of the agent's revives the link."""
    beat_at: datetime | None = None
    """Of a console session: its last heartbeat, from which its lease runs. None for an identity's link."""


class FeedState(StrEnum):
    """How far the stream a platform gives us can be trusted."""

    LIVE = "live"
    STALE = "stale"
    DOWN = "down"


LIVE = FeedState.LIVE
ENDS_KEPT = 64
"""A feed that came and went more often without showing a link is taken to have lost it a little later."""


class Feed(Struct, frozen=True, gc=False):
    """One workspace's stream of presence, with the trust it deserves.

    A workspace whose feed is switched off has no Feed, and so no links.
    """

    id: str
    """The workspace's id."""
    platform: str
    state: FeedState
    epoch: int
    """Rises whenever the stream begins anew, so that what was observed before must be seen again."""
    live_at: datetime
    """When it last became live."""
    lost_at: datetime
    """When it last stopped being live; `live_at` if it never did."""
    grace: timedelta
    """How long a disconnect stays without consequence."""
    trust: timedelta
    """How long agents are still routed on an unknown link: max(120 s, two polling cycles)."""
    ended: tuple[tuple[int, datetime], ...] = ()
    """Epochs that are over and when each was lost, the newest first; the last 64."""


def with_end(feed: Feed, at: datetime) -> tuple[tuple[int, datetime], ...]:
    """What a feed has `ended` once its epoch is over too, lost at that instant."""
    return ((feed.epoch, at), *feed.ended)[:ENDS_KEPT]


class Seen(StrEnum):
    """What one observation says."""

    CONNECTED = "connected"
    AWAY = "away"
    """Slack's: idle, on the phone, by hand, or gone."""
    DISCONNECTED = "disconnected"


class Observation(Struct, frozen=True, gc=False):
    """One thing a feed said of one identity. Ordered by (epoch, seq); a poll is dated when asked."""

    identity_id: str
    feed_id: str
    seen: Seen
    at: datetime
    epoch: int
    seq: int


class Interval(Struct, frozen=True, gc=False):
    """A stretch of one verdict: open while it is the current one. Intervals tile an agent's time."""

    presence: Presence
    since: datetime
    reason: str
    """A code: `set`, `not_set`, `returned`, `disconnected`, `check_in_lapsed`, `unobserved`, …"""
    source: str
    """Who or what decided: an intent's `by`, a platform, `check_in`, `unobserved`."""
    note: str = ""
    """The agent's own words."""
    confirmed: bool = True
    presence_since: datetime | None = None
    """Since when this presence stands, over changes of reason; None means `since`."""
    reason_code: str = ""
    """The intent's, while they are Away."""

    @property
    def standing_since(self) -> datetime:
        """Since when the presence (whatever its reason) stands."""
        return self.presence_since or self.since


class Facts(Struct, frozen=True, gc=False):
    """All that one agent's presence is derived from, and the interval it last came to."""

    agent_id: str
    intent: Intent
    interval: Interval
    version: int = 0
    """Rises with every stored change; the handle for compare-and-set."""
    check_in: CheckIn | None = None
    links: tuple[Link, ...] = ()
    acted_at: datetime | None = None
    """The agent's last own action in Rollcall."""
    last_seen_at: datetime | None = None
    """The last strong evidence."""
    asked_at: datetime | None = None
    """When "Still there?" was last asked."""
    return_asked_on: date | None = None
    """The agent's own local date on which "I'm available" was last offered after a return."""
    reviewed_at: datetime | None = None
    """Every deadline before this instant has had its consequences."""


class OnReturn(StrEnum):
    """What a long absence does to somebody who was Available."""

    PREVIOUS = "previous"
    ASK = "ask"
    AVAILABLE = "available"


class SlackAway(StrEnum):
    """What Slack's `away` is taken for."""

    WEAK = "weak"
    ABSENT = "absent"
    IGNORE = "ignore"


class Policy(Struct, frozen=True):
    """The durations and choices of `docs/presence.md`, from the configuration."""

    check_in: timedelta = timedelta(hours=8)
    check_in_word: timedelta = timedelta(minutes=15)
    idle_routable: timedelta = timedelta(minutes=15)
    idle_answer: timedelta = timedelta(minutes=10)
    unobserved: timedelta = timedelta(hours=8)
    settling: timedelta = timedelta(seconds=60)
    """After a feed came back, no disconnect has consequences before this has passed."""
    resume_gap: timedelta = timedelta(minutes=30)
    restore_within: timedelta = timedelta(hours=2)
    on_return: OnReturn = OnReturn.ASK
    slack_away: SlackAway = SlackAway.WEAK
    require_reason: bool = False
    """Whoever sets Away says why; what a rule sets needs no reason."""
    in_call: OnHint = OnHint.SHOW
    do_not_disturb: OnHint = OnHint.SHOW

    def on_hint(self, kind: HintKind) -> OnHint:
        """What comes of hints of that kind."""
        return self.in_call if kind is HintKind.CALL else self.do_not_disturb


def new_agent(agent_id: str, at: datetime) -> Facts:
    """The facts of somebody who has just been enrolled: away, "not set yet", not connected."""
    return Facts(
        agent_id=agent_id,
        intent=Intent(Choice.AWAY, set_at=at, by="rule:enrolled"),
        interval=Interval(Presence.OFFLINE, since=at, reason="not_connected", source="rule:enrolled"),
        reviewed_at=at,
    )


def begin_again(facts: Facts, at: datetime) -> Facts:
    """Somebody who was removed is enrolled again: their history goes on, with nothing set."""
    fresh = new_agent(facts.agent_id, at)
    return replace(fresh, version=facts.version, last_seen_at=facts.last_seen_at)
