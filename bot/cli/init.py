"""`rollcall init`: asks a few questions and writes a configuration that works."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bot.cli.frame import Failure, told

if TYPE_CHECKING:
    from bot.setting_up import Secret

T = TypeVar("T")
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("rollcall.toml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--name", help="What the team is called.")
@click.option("--zone", help="The time zone for those whose own is not known, such as Europe/Berlin.")
@click.option("--slack/--no-slack", default=None, help="Shall it run in Slack?")
@click.option("--slack-bot-token-file", type=FILE, help="The file that holds the token xoxb-….")
@click.option("--slack-app-token-file", type=FILE, help="The file that holds the token xapp-….")
@click.option("--discord/--no-discord", default=None, help="Shall it run in Discord?")
@click.option("--application-id", help="The Discord app's, for the address that invites the bot.")
@click.option("--discord-token-file", type=FILE, help="The file that holds the bot's token.")
@click.option("--agent-role", "roles", multiple=True, help="A Discord role whose holders are agents, by id.")
@click.option(
    "--database", help="Such as sqlite:///rollcall.sqlite3 or postgresql://user:password@host/name."
)
@click.option("--port", type=int, help="The API's.")
@click.option("--yes", is_flag=True, help="Ask nothing: what no option says is as usual.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def init(path: Path, yes: bool, force: bool, **given: Any) -> None:
    """Ask a few questions, write a configuration, and say what comes next.

    Nothing is written before the last answer. Secrets go into files of their own beside it.
    """
    from bot import setting_up
    from bot.config import Config
    from bot.operations import file_address
    from bot.wiring import discord_invite_of, slack_manifest_of

    if path.exists() and not force:
        if yes or not click.confirm(f"{path} is there already. Replace it?", default=False):
            raise Failure(f"{path} is there already and was left as it is. To replace it, add --force.")
        force = True
    ask = _Questions(yes)
    name = ask("What is your team called?", given["name"], "My team", _as("organization", "name"))
    zone = ask(
        "In which time zone is it?",
        given["zone"],
        setting_up.guessed_zone(os.environ),
        _as("organization", "zone"),
    )
    slack, discord = _where(ask, given["slack"], given["discord"])
    manifest = json.dumps(slack_manifest_of(Config(), ""), indent=2, ensure_ascii=False)
    in_slack: tuple[Secret, ...] = ()
    if slack:
        if not yes:
            click.echo(
                f"\nSlack: at {setting_up.APPS} choose Create New App, From a manifest, and paste this:\n\n"
                f"{manifest}\n\nThen Install to Workspace (OAuth & Permissions), and make a token with "
                "connections:write under Basic Information, App-Level Tokens.\n"
            )
        in_slack = (
            ask.secret(setting_up.BOT_TOKEN, given["slack_bot_token_file"], path.parent),
            ask.secret(setting_up.APP_TOKEN, given["slack_app_token_file"], path.parent),
        )
    in_discord: tuple[Secret, ...] = ()
    roles: tuple[str, ...] = given["roles"]
    invitation = ""
    if discord:
        if not yes:
            click.echo(
                f"\nDiscord: at {setting_up.PORTAL} choose New Application. Under Bot press Reset Token, and "
                "switch the Presence Intent on.\n"
            )
        application = ask("The Application ID?", given["application_id"], "", _application, "later")
        invitation = discord_invite_of(application) if application else ""
        in_discord = (ask.secret(setting_up.DISCORD_TOKEN, given["discord_token_file"], path.parent),)
        if not roles and not yes:
            typed = ask("The id of the role whose holders are agents?", None, "", _numbers, "none")
            roles = tuple(typed.split())
        told(lambda: _numbers(" ".join(roles)))
    usual = file_address(path.absolute().parent / "rollcall.sqlite3")
    database = ask("Where shall the data be?", given["database"], usual, _database)
    port = int(ask("On which port shall the API listen?", given["port"], 8080, _as("http", "port")))
    answers = setting_up.Answers(name, zone, database, port, in_slack, in_discord, roles)
    wanted = setting_up.files(answers, path, manifest)
    there = [] if force else setting_up.in_the_way(wanted)
    if there:
        raise Failure(
            f"{', '.join(map(str, there))} is there already, and nothing was written. To replace it, "
            "add --force."
        )
    told(lambda: setting_up.write(wanted))
    _say(path, wanted, discord, invitation)


def _where(ask: "_Questions", slack: bool | None, discord: bool | None) -> tuple[bool, bool]:
    if ask.yes:
        chosen = bool(slack), bool(discord)
    else:
        chosen = (
            click.confirm("Shall it run in Slack?", default=True) if slack is None else slack,
            click.confirm("Shall it run in Discord?", default=True) if discord is None else discord,
        )
    if not any(chosen):
        raise Failure("Rollcall needs Slack, Discord or both: --slack, --discord. Nothing was written.")
    return chosen


class _Questions:
    """Asks, and asks again until the answer is one the configuration would take."""

    def __init__(self, yes: bool) -> None:
        self.yes = yes

    def __call__(
        self, question: str, given: Any, usual: Any, check: Callable[[Any], None], without: str = ""
    ) -> Any:
        """`given`: the option's value, if there was one. `without`: what an empty answer means."""
        if given is not None or self.yes:
            value = usual if given is None else given
            if value != "" or not without:
                told(lambda: check(value))
            return value
        hint = f" (Enter: {without})" if without else ""

        def process(typed: Any) -> Any:
            from bot.domain.errors import RollcallError

            try:
                if typed != "" or not without:
                    check(typed)
            except RollcallError as problem:
                raise click.UsageError(problem.sentence) from None
            return typed

        return click.prompt(question + hint, default=usual, show_default=not without, value_proc=process)

    def secret(self, secret: "Secret", file: Path | None, folder: Path) -> "Secret":
        """Typed without being shown, in a file that is there, or later."""
        from msgspec.structs import replace

        from bot import setting_up
        from bot.domain.errors import RollcallError

        if file is not None:
            return replace(secret, file=str(file.absolute()))
        if self.yes:
            return secret

        def process(typed: str) -> str:
            try:
                if typed.strip():
                    setting_up.check_secret(secret, typed.strip())
            except RollcallError as problem:
                raise click.UsageError(problem.sentence) from None
            return typed.strip()

        asked = f"Paste {secret.called} (not shown; Enter: later, into {folder / secret.name})"
        typed = click.prompt(asked, default="", show_default=False, hide_input=True, value_proc=process)
        return replace(secret, typed=typed)


def _as(table: str, key: str) -> Callable[[Any], None]:
    from bot.setting_up import check

    return lambda value: check(table, key, value)


def _application(value: str) -> None:
    from bot.domain.errors import BadInput

    if not (value.isascii() and value.isdecimal()):
        raise BadInput("The Application ID is a number, such as 1174009900000000000.")


def _numbers(value: str) -> None:
    from bot.domain.errors import BadInput

    if not all(one.isascii() and one.isdecimal() for one in value.split()):
        raise BadInput("A role's id is a number, such as 1174009900000000002: right click, Copy Role ID.")


def _database(value: str) -> None:
    from bot.operations import check_address

    check_address(value)


def _say(path: Path, wanted: list[Any], discord: bool, invitation: str) -> None:
    click.echo("\nWritten, for you alone to read:")
    for file in reversed(wanted):
        click.echo(f"  {file.path}" + (f": {file.said}" if file.said else ""))
    if invitation:
        click.echo(f"\nInvite the bot to your Discord server by opening this:\n  {invitation}")
    elif discord:
        click.echo("\nFor the address that invites the bot: rollcall discord-invite APPLICATION_ID")
    click.echo(f"\nNext:\n  rollcall doctor --config {path}\n  rollcall run --config {path}")
