"""The front door of several organizations: each request goes to the application of whose key comes with it.

With one organization there is no door: its application stands at the street.
"""

from collections.abc import Sequence

from adapters.http.access import key_id_in
from adapters.http.app import Front
from adapters.http.exchange import Receive, Scope, Send


class Door:
    """The ASGI application over several others; what comes with no key, or none that is known, is the
    first one's."""

    def __init__(self, fronts: Sequence[Front]) -> None:
        self._first = fronts[0]
        self._fronts = fronts
        self._mounted = {path: front for front in fronts for path in front.mounts}
        for front in fronts:
            front.stream.sharing = len(fronts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        front = self._first
        if scope["type"] == "http":
            front = self._mounted.get(scope["path"]) or self._whose(scope)
        await front(scope, receive, send)

    def _whose(self, scope: Scope) -> Front:
        """Every one is asked, so that the time taken does not tell whose key it is, or whether it is one."""
        found = self._first
        for name, value in scope["headers"]:
            if name == b"authorization":
                key_id = key_id_in(value)
                for front in self._fronts:
                    if front.access.knows(key_id):
                        found = front
        return found
