"""`[platforms.console]`: who may sit at this terminal."""

from typing import Self

from pydantic import Field, model_validator
from whenever import SYSTEM_TZ, Instant, TimeZoneNotFoundError

from bot.config import Table, Zone, read_table
from bot.config.values import known_zone
from bot.ports import Profile

NAME = "platforms.console"


class PersonTable(Table):
    """`[[platforms.console.people]]`: somebody who can be chosen with `/as`."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description="up to 32 small letters, digits and hyphens",
        examples=["alex"],
    )
    """What is typed behind `/as`."""
    name: str = Field("", max_length=80, examples=["Alex"])
    """How the team sees them; the id, if left out."""
    zone: Zone | None = Field(None, examples=["Europe/Berlin"])
    """This machine's, if left out and the machine names one."""

    @property
    def profile(self) -> Profile:
        """What the platform knows of them. Whoever stands in the configuration may be an agent."""
        zone = self.zone or machine_zone()
        return Profile(self.id, self.name or self.id.capitalize(), zone, may_enrol=True)


class ConsoleTable(Table):
    """The whole table; the first of `people` begins at the prompt."""

    people: tuple[PersonTable, ...] = Field((PersonTable(id="me", name="Me", zone=None),), min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [person.id for person in self.people]
        twice = next((one for one in ids if ids.count(one) > 1), None)
        if twice:
            raise ValueError(f'people: "{twice}" stands twice; each id must be another')
        return self


def read(table: object) -> ConsoleTable:
    """The table, checked. Raises ConfigError, which names each fault."""
    return read_table(ConsoleTable, table if isinstance(table, dict) else {"people": table}, NAME)


def machine_zone() -> str | None:
    """The zone this machine is set to; None where it has none by name, or one that nobody knows."""
    try:
        return known_zone(Instant.from_utc(2000, 1, 1).to_tz(SYSTEM_TZ).tz_id)
    except TimeZoneNotFoundError:
        return None
