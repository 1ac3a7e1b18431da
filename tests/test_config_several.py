"""Several configuration files: one for each organization, the first with what is the program's."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from desk import ManualClock

from bot.cli import main
from bot.config import ConfigError, load_configs
from bot.house import House, refuse_same_paths
from bot.ports import AsgiApp
from storage.database import open_inline

SLACK = '[slack]\nbot_token = "xoxb-{0}"\napp_token = "xapp-{0}"\nsigning_secret = "signed-{0}"\n'


class Files:
    """`acme.toml` with the database, and `zenith.toml`."""

    def __init__(self, folder: Path) -> None:
        self.acme, self.zenith = folder / "acme.toml", folder / "zenith.toml"
        self.url = f"sqlite:///{folder / 'rollcall.sqlite3'}"
        self.write()

    def write(self, acme: str = "", zenith: str = "", slug: str = "zenith") -> None:
        """What stands in each beside its slug and the database."""
        self.acme.write_text(f'[organization]\nslug = "acme"\n[database]\nurl = "{self.url}"\n{acme}')
        self.zenith.write_text(f'[organization]\nslug = "{slug}"\n{zenith}')

    def refused(self, **environment: str) -> str:
        """Why the two can't be used together."""
        with pytest.raises(ConfigError) as refusal:
            load_configs([self.acme, self.zenith], environment)
        return refusal.value.sentence

    def key(self, *words: str) -> Result:
        """`rollcall key`, with both files."""
        both = ("--config", str(self.acme), "--config", str(self.zenith))
        return CliRunner().invoke(main, ["key", *words, *both])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path)


def test_the_first_file_says_what_is_the_program_s(files: Files) -> None:
    """And the environment is laid over that alone."""
    files.write('[http]\nport = 9000\n[log]\nlevel = "error"\n', SLACK.format("z"))
    acme, zenith = load_configs([files.acme, files.zenith], {"ROLLCALL_HTTP__RATE_PER_MINUTE": "7"})
    assert (acme.organization.slug, zenith.organization.slug) == ("acme", "zenith")
    assert (zenith.database, zenith.http, zenith.log) == (acme.database, acme.http, acme.log)
    assert (zenith.http.port, zenith.http.rate_per_minute) == (9000, 7)
    assert acme.slack is None
    assert zenith.slack is not None
    assert zenith.file == str(files.zenith)


@pytest.mark.parametrize("table", ["database", "http", "log"])
def test_what_is_the_program_s_is_refused_in_a_further_file(files: Files, table: str) -> None:
    files.write(zenith=f"[{table}]\n")
    told = files.refused()
    assert told.startswith(f"{files.zenith}: [{table}] holds for the whole program")
    assert str(files.acme) in told


def test_each_line_of_a_refusal_names_its_file(files: Files) -> None:
    files.write(zenith="[presence]\ncheck_im = 1\nresume_gab = 2\n")
    assert files.refused().splitlines() == [
        f"{files.zenith}: presence.check_im is not a key; did you mean check_in?",
        f"{files.zenith}: presence.resume_gab is not a key; did you mean resume_gap?",
    ]


def test_two_files_of_one_organization_are_refused_by_name(files: Files) -> None:
    files.write(slug="acme")
    assert files.refused().startswith(f'{files.acme} and {files.zenith} are both of the organization "acme".')


@pytest.mark.parametrize(
    ("key", "ours", "theirs"),
    [
        ("slack.bot_token", 'bot_token = "xoxb-a"', 'bot_token = "xoxb-z"'),
        ("slack.app_token", 'app_token = "xapp-a"', 'app_token = "xapp-z"'),
        ("slack.signing_secret", 'signing_secret = "signed-a"', 'signing_secret = "signed-z"'),
    ],
)
def test_a_secret_of_two_organizations_is_refused_and_not_shown(
    files: Files, key: str, ours: str, theirs: str
) -> None:
    files.write(SLACK.format("a"), SLACK.format("z").replace(theirs, ours))
    told = files.refused()
    assert told.startswith(f"{files.zenith}: {key} is that of {files.acme} too.")
    assert ours.split('"')[1] not in told


def test_a_token_of_two_bots_in_discord_is_refused(files: Files) -> None:
    files.write('[discord]\ntoken = "one.and.only"\n', '[discord]\ntoken = "one.and.only"\n')
    assert files.refused().startswith(f"{files.zenith}: discord.token is that of")


def test_the_environment_can_not_say_whose_it_is(files: Files) -> None:
    told = files.refused(ROLLCALL_SLACK__BOT_TOKEN="xoxb-1")
    assert told.startswith("ROLLCALL_SLACK__BOT_TOKEN does not say whose it is")
    assert "xoxb-1" not in told
    assert len(load_configs([files.acme, files.zenith], {"ROLLCALL_CONFIG": "a:b", "HOME": "/"})) == 2


def test_one_file_of_several_alone_begins_no_database_of_its_own(files: Files) -> None:
    """Neither for a key nor for a check: it would be an empty one."""
    with pytest.raises(ConfigError, match=r'slug = "zenith" and no database.url. Where it is one of several'):
        load_configs([files.zenith], {})
    for command in (["key", "create", "--name", "x"], ["db", "upgrade"], ["key", "list"]):
        refused = CliRunner().invoke(main, [*command, "--config", str(files.zenith)])
        assert refused.exit_code == 1
        assert "no database.url" in refused.output
    assert sorted(path.name for path in files.acme.parent.iterdir()) == ["acme.toml", "zenith.toml"]
    assert (
        load_configs([files.zenith], {"ROLLCALL_DATABASE__URL": files.url})[0].organization.slug == "zenith"
    )


# --- the command line ---


def test_a_key_belongs_to_the_organization_that_is_named(files: Files) -> None:
    """With several files it has to be; another organization's key is neither shown nor revoked."""
    unnamed = files.key("create", "--name", "x")
    assert unnamed.exit_code == 1
    assert "Say whose it is: --organization acme or --organization zenith." in unnamed.output
    wrong = files.key("create", "--name", "x", "--organization", "zenit")
    assert "zenit is none of them. Say whose it is" in wrong.output
    made = files.key("create", "--name", "x", "--organization", "zenith")
    assert made.exit_code == 0, made.output
    key_id = made.output.split("_")[1]
    assert key_id in files.key("list", "--organization", "zenith").output
    assert key_id not in files.key("list", "--organization", "acme").output
    assert files.key("revoke", key_id, "--organization", "acme").exit_code == 1
    assert files.key("revoke", key_id, "--organization", "zenith").output == f"Revoked {key_id}.\n"


def test_the_slack_manifest_of_an_organization_has_its_own_address(files: Files) -> None:
    """Also where its file alone says nothing of a database."""
    files.write(zenith=SLACK.format("z") + 'mode = "http"\n')
    shown = CliRunner().invoke(
        main, ["slack-manifest", "--config", str(files.zenith), "--host", "rollcall.example"]
    )
    assert shown.exit_code == 0, shown.output
    assert '"request_url": "https://rollcall.example/slack/zenith/events"' in shown.output


def test_two_platforms_at_one_path_are_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*_: object) -> None: ...

    same: dict[str, AsgiApp] = {"/hooks/chat": answer}
    monkeypatch.setattr(House, "mounts", property(lambda _: same))
    houses = [
        House(config, open_inline(), ManualClock()) for config in load_configs([files.acme, files.zenith], {})
    ]
    with pytest.raises(ConfigError, match=r"zenith.toml: its platform answers at /hooks/chat, and so does "):
        refuse_same_paths(houses)


def test_the_environment_may_name_several_files(files: Files) -> None:
    """Colons between them, as in PATH."""
    both = {"ROLLCALL_CONFIG": f"{files.acme}:{files.zenith}"}
    made = CliRunner().invoke(main, ["key", "create", "--name", "x", "--organization", "zenith"], env=both)
    assert made.exit_code == 0, made.output
    checked = CliRunner().invoke(main, ["db", "check"], env=both)
    assert checked.exit_code == 0, checked.output
