"""What a guild shows of its agents beside presence: who is in a voice channel, and who has set
do-not-disturb.

There is no asking who is in a voice channel: GUILD_CREATE names everybody there, and each who comes or goes
is told. So the ids of those in voice channels are kept, and nothing else of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bot.domain.hints import HintKind
from bot.ports import Core, HintSighting


class GuildHints:
    """The hints of one guild: told to the core while its feed is live, and none otherwise."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._talking: set[int] = set()
        self._quiet: set[int] = set()
        self._live: str | None = None
        """The workspace's id, while the feed is live."""
        self._agents: Mapping[int, str] = {}

    # --- from Discord ---

    def all_talking(self, user_ids: Iterable[int]) -> None:
        """GUILD_CREATE: these are in a voice channel, and nobody else. The feed begins anew with it."""
        self.lost()
        self._talking = set(user_ids)

    def talks(self, user_id: int, *, there: bool) -> None:
        """VOICE_STATE_UPDATE; also moved, muted, with a camera on."""
        (self._talking.add if there else self._talking.discard)(user_id)
        self._tell(HintKind.CALL, user_id, self._talking)

    def quiet(self, user_id: int, *, dnd: bool) -> None:
        """An agent's status."""
        (self._quiet.add if dnd else self._quiet.discard)(user_id)
        self._tell(HintKind.DO_NOT_DISTURB, user_id, self._quiet)

    # --- from the feed ---

    def live(self, workspace_id: str, agents: Mapping[int, str]) -> None:
        """The feed is live, or others are agents now."""
        self._live, before, self._agents = workspace_id, self._agents if self._live else {}, agents
        for user_id in agents.keys() - before.keys():
            self._tell(HintKind.CALL, user_id, self._talking)
            self._tell(HintKind.DO_NOT_DISTURB, user_id, self._quiet)

    def lost(self) -> None:
        """The socket is gone; what comes before RESUMED is remembered, and told then."""
        if self._live is not None:
            self._core.hints_lost(self._live)
            self._live = None

    def ended(self) -> None:
        """Nothing from before counts."""
        self.lost()
        self._talking.clear()
        self._quiet.clear()

    def _tell(self, kind: HintKind, user_id: int, those: set[int]) -> None:
        external_id = self._agents.get(user_id)
        if self._live is not None and external_id is not None:
            self._core.hint(self._live, [HintSighting(external_id, kind, user_id in those)])


def talking(guild: Mapping[str, Any]) -> list[int]:
    """Who is in a voice channel, by GUILD_CREATE's data."""
    return [int(state["user_id"]) for state in guild.get("voice_states") or () if state.get("channel_id")]
