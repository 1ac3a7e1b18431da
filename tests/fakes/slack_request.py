"""A call of the Web API that passed the checks of token, scope and arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fakes.slack_messages import Json
from fakes.slack_workspace import SlackError, Token, User, Workspace, World


@dataclass
class Request:
    """Its arguments have their documented types; what the method makes of them is up to the method."""

    world: World
    workspace: Workspace
    token: Token
    arguments: Json

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.arguments.get(name, default)

    def refuse(self, error: str, what: str) -> SlackError:
        """An error that also counts as a violation."""
        self.world.violate("Web API", what)
        return SlackError(error, response_metadata={"messages": [f"[ERROR] {what}"]})

    def user(self, user_id: str) -> User:
        """A member of the token's workspace."""
        if user_id not in self.workspace.users:
            raise SlackError("user_not_found")
        return self.workspace.users[user_id]
