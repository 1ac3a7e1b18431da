"""One transaction over one cursor: what an operation is given."""

from storage.ledger import LedgerRows
from storage.linking import LinkRows
from storage.members import MemberRows
from storage.presence import Presences
from storage.sql import Sql


class Rows:
    """Implements `bot.ports.Transaction`."""

    __slots__ = ("ledger", "linking", "members", "presence")

    def __init__(self, sql: Sql) -> None:
        self.presence = Presences(sql)
        self.members = MemberRows(sql, self.presence)
        self.ledger = LedgerRows(sql)
        self.linking = LinkRows(sql)
