"""What can go wrong between a bot and Discord, to be ordered by a test."""

from __future__ import annotations

import socket
from typing import Literal

from fakes.discord_calls import Fault
from fakes.discord_gateway import GUILD_MEMBERS, GUILD_PRESENCES, INVALID_SESSION, RECONNECT, Gateway
from fakes.discord_model import Guild
from fakes.discord_rest import Rest


class Faults:
    """Faults of the gateway and of the REST API, each of them as Discord shows it."""

    def __init__(self, gateway: Gateway, rest: Rest) -> None:
        self.gateway = gateway
        self.rest = rest

    # Of the gateway ----------------------------------------------------------------------------

    def allow_intents(self, *, presences: bool = True, members: bool = True) -> None:
        """The privileged toggles of the developer portal; IDENTIFY with one that is off gets 4014."""
        refused = (0 if presences else GUILD_PRESENCES) | (0 if members else GUILD_MEMBERS)
        self.gateway.allowed_intents = ((1 << 26) - 1) & ~refused

    def set_session_starts(self, left: int, total: int = 1000) -> None:
        self.gateway.starts_left, self.gateway.starts_total = left, total

    def set_heartbeat_interval(self, seconds: float) -> None:
        """For connections made from now on; Discord's is 41.25."""
        self.gateway.heartbeat_interval = seconds

    def drop_connections(self, code: int | None = None) -> None:
        """Close with a code, or cut the line without one; sessions stay and can be resumed."""
        for connection in list(self.gateway.connections):
            if code is None:
                connection.abort()
            else:
                connection.close(code)

    def ask_to_reconnect(self) -> None:
        """Opcode 7, as Discord sends before it restarts a gateway."""
        for connection in self.gateway.connections:
            connection.send({"op": RECONNECT, "t": None, "s": None, "d": None})

    def invalidate_session(self, *, resumable: bool = False) -> None:
        """Opcode 9 to who is connected. Unless resumable, sessions are forgotten and a RESUME is refused."""
        if not resumable:
            self.gateway.forget_sessions()
        for connection in self.gateway.connections:
            connection.send({"op": INVALID_SESSION, "t": None, "s": None, "d": resumable})

    def go_silent(self, *, new_ones_too: bool = False) -> None:
        """Zombies: open connections send nothing more, not even heartbeat acknowledgements."""
        self.gateway.new_are_silent = new_ones_too
        for connection in self.gateway.connections:
            connection.silent = True

    def ack_only(self, *, new_ones_too: bool = True) -> None:
        """Connections acknowledge heartbeats, and neither dispatch nor answer IDENTIFY or RESUME."""
        self.gateway.new_withhold = new_ones_too
        for connection in self.gateway.connections:
            connection.withholds = True

    def speak_again(self) -> None:
        """Connections made from now on are healthy; silent ones stay silent until they are closed."""
        self.gateway.new_are_silent = self.gateway.new_withhold = False

    def mute(self, guild: Guild) -> None:
        """Requests for this guild's members are answered no more; its events come as ever."""
        self.gateway.mute.add(guild.id)

    def refuse_connections(self, times: int) -> None:
        """Answer the next handshakes with 503."""
        self.gateway.refusals_left = times

    def cut_resumes(self, times: int) -> None:
        """Cut the line at the next RESUMEs instead of answering."""
        self.gateway.resumes_cut = times

    def kill_resume_address(self) -> None:
        """The address that READY names for RESUME from now on takes no connection; the gateway's own does."""
        with socket.socket() as closed_again:
            closed_again.bind(("127.0.0.1", 0))
            self.gateway.url = f"ws://127.0.0.1:{closed_again.getsockname()[1]}/"

    # Of the API ----------------------------------------------------------------------------------

    def rate_limit(
        self,
        route: str,
        retry_after: float,
        times: int = 1,
        *,
        scope: Literal["user", "global", "shared"] = "user",
        by_proxy: bool = False,
    ) -> None:
        """429 on a route ("POST /channels/*/messages").

        `by_proxy` makes it Cloudflare's ban of the address, with neither a Via header nor JSON.
        """
        self._order(Fault(route, times, "rate_limit", seconds=retry_after, scope=scope, by_proxy=by_proxy))

    def fail(
        self, route: str, status: int = 503, times: int = 1, *, code: int = 0, message: str = ""
    ) -> None:
        self._order(Fault(route, times, "fail", status=status, code=code, message=message))

    def slow(self, route: str, seconds: float, times: int = 1) -> None:
        """Hold requests back before they are looked at, so that deadlines count the wait."""
        self._order(Fault(route, times, "slow", seconds=seconds))

    def lose_answers(self, route: str, times: int = 1, *, politely: bool = False) -> None:
        """Carry the request out or refuse it, then cut the line instead of answering.

        `politely` closes it as a load balancer does, else it is reset. For a client these are two errors: a
        server that disconnected, and a connection that was reset.
        """
        self._order(Fault(route, times, "hang_up", politely=politely))

    def unauthorized(self) -> None:
        """The token was reset: 401 everywhere, sessions end, open connections and IDENTIFYs get 4004."""
        self.gateway.token_revoked = True
        self.gateway.forget_sessions()
        self.drop_connections(4004)

    def authorized(self) -> None:
        self.gateway.token_revoked = False

    def set_deadlines(self, *, answer: float = 3.0, follow_up: float = 900.0) -> None:
        """Seconds in which an interaction must be answered, and in which its token works."""
        self.rest.answer_within, self.rest.follow_up_within = answer, follow_up

    def expire_interactions(self) -> None:
        """As if 15 minutes had passed for every interaction so far."""
        for interaction in self.rest.interactions.values():
            interaction.expired = True

    def _order(self, fault: Fault) -> None:
        self.rest.desk.faults.append(fault)
