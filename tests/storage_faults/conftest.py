"""The databases that are to be harmed, each test its own."""

from storage_faults.databases import postgres_empty, postgres_schema, sqlite_url, store, url

__all__ = ["postgres_empty", "postgres_schema", "sqlite_url", "store", "url"]
