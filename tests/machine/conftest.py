"""The databases on which the machine runs."""

from storage_faults.databases import postgres_empty, postgres_schema

__all__ = ["postgres_empty", "postgres_schema"]
