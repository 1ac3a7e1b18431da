"""What can go wrong, told to a person.

Every refusal is a `RollcallError`: a stable `code` for programs and one `sentence` for people,
which says what happened, what it means and what to do.
"""

from typing import ClassVar


class RollcallError(Exception):
    """A refusal with a reason; nothing was changed."""

    code: ClassVar[str] = "error"

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        """`sentence` is shown as it is; `field` names the input at fault, if one is."""
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field


class BadInput(RollcallError):
    """A value breaks a rule; the sentence names field, rule and an example."""

    code = "bad_input"


class NotFound(RollcallError):
    """Nothing by that name or id is visible to the asker."""

    code = "not_found"


class NotEnrolled(RollcallError):
    """The person is no agent, and may not become one by themselves."""

    code = "not_enrolled"


class Removed(RollcallError):
    """The agent was removed; only a lead brings them back."""

    code = "removed"


class Forbidden(RollcallError):
    """The person or key may not do this."""

    code = "forbidden"


class SignedOff(RollcallError):
    """The agent has signed off, so only `/available` changes their presence."""

    code = "signed_off"


class ReasonNeeded(RollcallError):
    """The organization wants a reason with every Away, and none was given."""

    code = "reason_needed"


class Conflict(RollcallError):
    """The state is not the one the asker thinks; ask again with the newer one."""

    code = "conflict"


class Unavailable(RollcallError):
    """The database can't be written just now; nothing was changed, try again."""

    code = "unavailable"


class UnknownCommand(RollcallError):
    """No command by that name; the nearest one is offered."""

    code = "unknown_command"
