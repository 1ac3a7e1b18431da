"""What can go wrong with a database, in sentences that people can act on."""

from bot.domain.errors import Conflict, RollcallError, Unavailable

DAMAGED = 'docs/operations.md, "The database file is damaged"'
"""Where the runbook is."""


class Unusable(RollcallError):
    """This database can't be used as it is, so Rollcall does not start on it; nothing was written."""

    code = "database_unusable"


class WroteInRead(Exception):
    """An operation given to `read` tried to write: a mistake in the program."""


def locked() -> Unavailable:
    return Unavailable(
        "Another program holds the database locked, so nothing was changed. Try again in a moment; "
        "if it stays so, close the database tool or second Rollcall that has it open."
    )


def upgrade_locked() -> Unavailable:
    return Unavailable(
        "Another program holds a table of the database locked, or upgrades it, so it was not upgraded and "
        "nothing was changed. Close the database tool or end the long transaction (PostgreSQL's "
        "pg_stat_activity lists them), then run: rollcall db upgrade"
    )


def full() -> Unavailable:
    return Unavailable(
        "The disk is full, so nothing was changed. Looking things up still works; "
        "free some space on the database's disk and try again."
    )


def read_only() -> Unavailable:
    return Unavailable(
        "The database can only be read just now, so nothing was changed. "
        "Make its file, folder and disk writable for Rollcall and try again."
    )


def failing() -> Unavailable:
    return Unavailable(
        "The database can't be used just now, so nothing was changed. Try again in a moment; "
        f"if it stays so, see Rollcall's log and {DAMAGED}."
    )


def unreachable() -> Unavailable:
    return Unavailable(
        "The database can't be reached, so nothing was changed. Try again in a moment; "
        "if it stays so, see whether PostgreSQL is running and reachable from here."
    )


def undecided() -> Unavailable:
    return Unavailable(
        "The connection to the database broke while this was being saved, so it may or may not have "
        "been. Look before you try again."
    )


def silent() -> Unavailable:
    return Unavailable(
        "The database does not answer, so nothing was changed. Try again in a moment; "
        "if it stays so, see whether PostgreSQL and the machine it runs on are well."
    )


def late() -> Unavailable:
    return Unavailable(
        "The database did not answer in time while this was being saved, so it may or may not have been. "
        "Do the same again in a moment: that gives the truth."
    )


def closed() -> Unavailable:
    return Unavailable("Rollcall is shutting down, so nothing was changed. Try again when it is back.")


def taken() -> Conflict:
    return Conflict(
        "Somebody else added the same thing at the same moment, so nothing was changed. "
        "Look again and try once more."
    )


def unwatched() -> Unavailable:
    return Unavailable(
        "Rollcall can no longer see whether it is alone on its database, so it stops. Its log says what "
        "went wrong; start it again when that is mended."
    )


def pooled() -> Unusable:
    return Unusable(
        "Something between Rollcall and PostgreSQL gives it another connection now and then, as PgBouncer "
        "does in transaction mode; what Rollcall holds and sets is lost with that. Let database.url lead to "
        "PostgreSQL itself, or to a pool in session mode.",
        field="database.url",
    )


def taken_by_another(holder: str = "") -> Unusable:
    """The refusal to run beside another."""
    return Unusable(
        f"Another Rollcall{holder} is running on this database, so this one does not: both would answer "
        "every command and post every summary. Stop the other one, or give this one a database of its own "
        "(database.url).",
        field="database.url",
    )
