"""The steps by which the schema came to be what it is; `storage/schema.py` runs them."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0010")
"""All of them, the oldest first. Known without Alembic, which a start that needs no step never imports."""
