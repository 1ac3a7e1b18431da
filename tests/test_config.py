"""The configuration: what is refused, how it is told, and where values come from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.console.table import ConsoleTable
from bot.commands import NAMES
from bot.config import SLACK_RESERVED, Config, ConfigError, load_config, read_table
from bot.config.values import DISCORD_NAMES, SLACK_NAMES
from bot.domain.facts import OnReturn, Policy

SLACK = {"bot_token": "xoxb-1", "app_token": "xapp-1"}
BILLING = {"slug": "billing", "name": "Billing"}
DAILY = {"slug": "s", "team": "billing", "at": "09:00"}
CANARY = "canary-3f9a1c"
"""Stands in every secret; no error may show it."""


def refused(table: Mapping[str, Any]) -> str:
    """What is said of a table that is no configuration."""
    with pytest.raises(ConfigError) as problem:
        read_table(Config, table)
    return problem.value.sentence


def written(folder: Path, text: str) -> Path:
    file = folder / "rollcall.toml"
    file.write_text(text, encoding="utf-8")
    return file


# --- keys ---


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"slak": {}}, "slak is not a key; did you mean slack?"),
        ({"http": {"prot": 1}}, "http.prot is not a key; did you mean port?"),
        (
            {"team": [{"slug": "a", "name": "A", "membrs": []}]},
            "team.0.membrs is not a key; did you mean members?",
        ),
        ({"log": {"zzzz": 1}}, "log.zzzz is not a key; known here: form, level."),
        ({"slack": {"app_token": "x"}}, 'slack.bot_token is missing, as in bot_token = "xoxb-…".'),
        ({"http": 8080}, "http: must be a table, written under [its name]."),
        (
            {"team": {"slug": "a"}},
            'team: must be a list, such as ["a", "b"], or tables, each under [[its name]].',
        ),
    ],
)
def test_a_wrong_key_is_named_with_the_nearest_right_one(table: Mapping[str, Any], sentence: str) -> None:
    assert refused(table) == sentence


def test_every_fault_is_told_at_once() -> None:
    told = refused({"http": {"port": 70000}, "log": {"level": "loud"}, "slak": {}})
    assert [line.partition(":")[0].partition(" ")[0] for line in told.split("\n")] == [
        "http.port",
        "log.level",
        "slak",
    ]


PLAIN = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_stands_in_a_table_is_read_or_refused_in_words(value: Any) -> None:
    """Nothing but ConfigError comes out."""
    for table in Config.model_fields:
        with suppress(ConfigError):
            assert read_table(Config, {table: value}) == read_table(Config, {table: value})


def test_a_table_of_a_platform_from_outside_is_told_by_its_own_name() -> None:
    with pytest.raises(ConfigError, match=r"^platforms\.console\.peopel is not a key; did you"):
        read_table(ConsoleTable, {"peopel": []}, "platforms.console")


# --- secrets ---


@pytest.mark.parametrize(
    "text",
    [
        f'[slack]\nbot_token = "{CANARY}"',
        f'[slack]\nbot_token = ["{CANARY}"]\napp_token = "{CANARY}"',
        f'[slack]\nbot_tokn = "{CANARY}"',
        f'[discord]\ntoken = {{ a = "{CANARY}" }}',
        f'discord = "{CANARY}"',
        f'[database]\nurl = ["{CANARY}"]',
        f'[slack]\nbot_token = "{CANARY}',
        f'[slack]\nbot_token = "{CANARY}"\nbot_token = "{CANARY}"',
        f'[slack]\nbot_token = "{CANARY}"\napp_token = "{CANARY}"\nnames = {{ away = "away" }}',
        f'[http]\nport = "{CANARY}"',
        f'[[summary]]\nslug = "a"\nteam = "b"\nchannel = "{CANARY}"\nat = "{CANARY}"',
    ],
)
def test_no_error_shows_a_value_that_may_be_a_secret(tmp_path: Path, text: str) -> None:
    """Row 35 of what must survive: not in the sentence, and not in what a traceback would print."""
    with pytest.raises(ConfigError) as problem:
        load_config(written(tmp_path, text), {})
    assert CANARY not in repr(problem.value) + problem.value.sentence
    assert CANARY not in repr(problem.value.__context__)
    assert problem.value.__cause__ is None
    assert problem.value.__suppress_context__


def test_a_loaded_configuration_does_not_show_its_secrets() -> None:
    table = {
        "slack": {"bot_token": CANARY, "app_token": CANARY, "signing_secret": CANARY},
        "discord": {"token": CANARY},
        "database": {"url": f"postgresql://u:{CANARY}@h/n"},
    }
    config = read_table(Config, table)
    assert CANARY not in repr(config) + str(config.model_dump())


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_secret_is_refused(empty: str) -> None:
    """An unset variable in a service file would otherwise be found out by the platform only."""
    assert refused({"discord": {"token": empty}}).startswith("discord.token: is empty")
    assert refused({"slack": {**SLACK, "app_token": empty}}).startswith("slack.app_token: is empty")


def test_secrets_are_read_from_files_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    config = load_config(written(tmp_path, '[discord]\ntoken_file = "token"'), {})
    assert config.discord is not None
    assert config.discord.token.get_secret_value() == CANARY


def test_a_secret_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:///other.sqlite3")
    config = load_config(None, {"ROLLCALL_DATABASE__URL_FILE": str(tmp_path / "url")})
    assert config.database.url.get_secret_value() == "sqlite:///other.sqlite3"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('token_file = "nothing"', "can't be read: FileNotFoundError."),
        ('token = "a"\ntoken_file = "b"', "discord.token and discord.token_file are both set; keep one."),
        ('token_file = "a\\u0000b"', "discord.token_file: there must be the path of a text file."),
        ('token = "a"\nguilds_file = "b"', "discord.guilds_file is not a key; did you mean guilds?"),
    ],
)
def test_a_secret_file_that_can_not_be_used_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as problem:
        load_config(written(tmp_path, f"[discord]\n{text}"), {})
    assert problem.value.sentence.endswith(sentence)


# --- file and environment ---


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[http]\nport = 1\nhost = "::1"\n[slack]\nbot_token = "a"\napp_token = "b"')
    environment = {
        "ROLLCALL_HTTP__PORT": "2",
        "ROLLCALL_SLACK__BOT_TOKEN": "c",
        "ROLLCALL_SLACK__PRESENCE": "false",
        "ROLLCALL_PRESENCE__CHECK_IN": "4h",
        "ROLLCALL_ORGANIZATION__LEADS": '["slack:T1:U1"]',
        "PATH": "/bin",
    }
    config = load_config(file, environment)
    assert (config.http.port, config.http.host) == (2, "::1")
    assert config.slack is not None
    assert config.slack.bot_token.get_secret_value() == "c"
    assert not config.slack.presence
    assert config.presence.check_in == timedelta(hours=4)
    assert config.organization.leads == ("slack:T1:U1",)


def test_the_variable_that_names_the_file_is_no_key() -> None:
    """`rollcall run` reads it by itself."""
    assert load_config(None, {"ROLLCALL_CONFIG": "rollcall.toml"}) == Config()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HTTP_PORT", "1", " is not a key; did you mean ROLLCALL_HTTP__PORT?"),
        (
            "PORT",
            "1",
            " is not a key; write table and key with two underscores between, such as ROLLCALL_HTTP__PORT.",
        ),
        ("TEAM__NAME", "x", " can't be set: team is a list; write it in the file."),
        ("HTTP__PORT__X", "x", " can't be set: port is no table; write it in the file."),
        ("DISCORD__GUILDS", "[", ' begins like a list and is none as TOML writes them, such as ["a", "b"].'),
    ],
)
def test_a_variable_that_sets_nothing_is_refused(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    file = written(tmp_path, '[http]\nport = 1\n[[team]]\nslug = "a"\nname = "A"')
    with pytest.raises(ConfigError) as problem:
        load_config(file, {f"ROLLCALL_{name}": value})
    assert problem.value.sentence == f"ROLLCALL_{name}{sentence}"


def test_a_variable_with_an_unknown_key_is_told_by_the_key() -> None:
    with pytest.raises(ConfigError, match=r"^http\.prot is not a key; did you mean port\?$"):
        load_config(None, {"ROLLCALL_HTTP__PROT": "1"})


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_config(tmp_path / "nothing.toml", {})
    with pytest.raises(ConfigError, match=r"can't be read: IsADirectoryError\."):
        load_config(tmp_path, {})
    with pytest.raises(ConfigError, match=r"is not TOML \(at line 2, column 1\)\."):
        load_config(written(tmp_path, "[http]\n=1"), {})
    (tmp_path / "rollcall.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"can't be read: UnicodeDecodeError\."):
        load_config(tmp_path / "rollcall.toml", {})


# --- values ---


@pytest.mark.parametrize(
    ("written_as", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("1d 2h", timedelta(hours=26)),
        (" 8h ", timedelta(hours=8)),
    ],
)
def test_lengths_of_time_are_read_as_people_write_them(written_as: str, length: timedelta) -> None:
    table = {"unobserved": "300h", "check_in": written_as, "check_in_word": "30s"}
    assert read_table(Config, {"presence": table}).presence.check_in == length


@pytest.mark.parametrize(
    "wrong", ["", "8", "8 hours", "-1h", "h", 30, 1.5, True, "99999999999d", "8h\n8h", "٣h"]
)
def test_what_is_no_length_of_time_is_refused_with_an_example(wrong: object) -> None:
    told = refused({"presence": {"check_in": wrong}})
    assert told.startswith("presence.check_in: ")
    assert "15m" in told


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"console_grace": "44s"}, "console_grace must be at least 45s, three beats of 15s, such as 65s"),
        ({"discord_grace": "4s"}, "discord_grace must be at least 5s"),
        ({"blind_trust": "29s"}, "blind_trust must be at least 30s"),
        ({"settling": "0s"}, "settling must be at least 5s"),
        ({"idle_routable": "59s"}, "idle_routable must be at least 1m"),
        (
            {"idle_answer": "0s"},
            "idle_answer must be at least 1m, to see the question and click, such as 10m",
        ),
        ({"check_in": "15m"}, "check_in_word must be shorter than check_in"),
        ({"blind_trust": "8h"}, "blind_trust must be shorter than unobserved"),
        ({"check_in": "30s", "check_in_word": "5s"}, "check_in must be at least 1m"),
    ],
)
def test_lengths_of_time_are_checked_against_each_other(table: Mapping[str, Any], rule: str) -> None:
    assert refused({"presence": table}).startswith(f"presence: {rule}")


def test_presence_becomes_the_policy_that_the_domain_works_by() -> None:
    table = {"on_return": "previous", "check_in": "4h"}
    policy = read_table(Config, {"presence": table}).presence.policy()
    assert policy == Policy(on_return=OnReturn.PREVIOUS, check_in=timedelta(hours=4))
    assert Config().presence.policy() == Policy()


@pytest.mark.parametrize("name", sorted(SLACK_RESERVED))
def test_a_name_that_slack_keeps_for_itself_is_refused_with_the_reason(name: str) -> None:
    told = refused({"slack": {**SLACK, "names": {"away": name}}})
    assert f'names.away = "{name}": Slack keeps /{name} for itself' in told
    assert f"support-{name}" in told


@pytest.mark.parametrize(
    ("platform", "names", "rule"),
    [
        (
            "slack",
            {"awya": "afk"},
            'there is no command "awya" to name; known: available, away, who',
        ),
        ("slack", {"away": "a b"}, "slack.names.away: must be up to 32 small letters, digits, hyphens"),
        ("slack", {"away": "afk", "who": "afk"}, 'two commands would be called "afk"'),
        ("slack", {"available": "brb"}, 'two commands would be called "brb"'),
        ("discord", {"available": "away"}, 'two commands would be called "away"'),
    ],
)
def test_names_of_commands_are_known_and_differ(platform: str, names: Mapping[str, str], rule: str) -> None:
    table = {**SLACK, "names": names} if platform == "slack" else {"token": "x", "names": names}
    assert rule in refused({platform: table})


def test_names_are_checked_against_what_commands_are_called_by_default() -> None:
    assert (NAMES["slack"], NAMES["discord"]) == (SLACK_NAMES, DISCORD_NAMES)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"slack": {"bot_token": "x"}}, 'slack: app_token is needed for mode = "socket"'),
        ({"slack": {"bot_token": "x", "mode": "http"}}, 'slack: signing_secret is needed for mode = "http"'),
        ({"organization": {"zone": "Mars/Olympus"}}, "organization.zone: write an IANA time zone"),
        ({"organization": {"zone": "../../etc/passwd"}}, "organization.zone: write an IANA time zone"),
        ({"organization": {"leads": ["maria"]}}, "organization.leads.0: write platform:workspace:person"),
        ({"team": [{"slug": "Billing EU", "name": "x"}]}, "team.0.slug: write up to 32 small letters"),
        ({"team": [{"slug": "a", "name": "x"}] * 2}, 'configuration: [[team]] slug "a" stands twice'),
        ({"reason": [{"slug": "a", "name": "x"}] * 2}, 'configuration: [[reason]] slug "a" stands twice'),
        (
            {"reason": [{"slug": "lunch", "name": "Lunch"}, {"slug": "food", "name": "LUNCH!"}]},
            'configuration: [[reason]] "lunch" and "food" are recognised by the same words; rename one',
        ),
        (
            {"summary": [{"slug": "s", "team": "b", "channel": "slack:C", "at": "09:00"}]},
            'configuration: [[summary]] "s" names team "b"; known: none yet',
        ),
        (
            {"summary": [{"slug": "s", "team": "b", "channel": "slack:C", "at": "9 o'clock"}]},
            "summary.0.at: write a time of day such as 09:30",
        ),
        (
            {"team": [BILLING], "summary": [{**DAILY, "channel": "slack:C012AB3CD"}]},
            'configuration: [[summary]] "s" names a channel of a platform without a table; add [slack], or '
            "take a platform that has one: none yet",
        ),
        (
            {"team": [BILLING], "summary": [{**DAILY, "channel": "matrix:!a"}], "discord": {"token": "x"}},
            'configuration: [[summary]] "s" names a channel of a platform without a table; add '
            "[platforms.…], or take a platform that has one: discord",
        ),
        ({"http": {"port": 65536}}, "http.port: must be a whole number from 0 to 65535, such as 8080."),
        ({"http": {"port": "many"}}, "http.port: must be a whole number from 0 to 65535, such as 8080."),
        (
            {"http": {"rate_per_minute": 0}},
            "http.rate_per_minute: must be a whole number of at least 1, such as",
        ),
        ({"http": {"enabled": "maybe"}}, "http.enabled: must be true or false."),
        ({"http": {"host": ""}}, 'http.host: must be given, not empty, such as "127.0.0.1".'),
        (
            {"log": {"level": "loud"}},
            'log.level: must be "debug", "info", "warning" or "error".',
        ),
        ({"slack": {**SLACK, "mode": "carrier pigeon"}}, 'slack.mode: must be "socket" or "http".'),
        ({"organization": {"name": ""}}, "organization.name: must be text of 1 to 80 characters, such as "),
        ({"discord": {"token": "x", "guilds": [1]}}, "discord.guilds.0: must be an id in quotes, such as "),
        (
            {"team": [BILLING], "summary": [{**DAILY, "channel": "C012AB3CD"}]},
            'summary.0.channel: must be platform:channel, such as "slack:C012AB3CD".',
        ),
        (
            {"team": [BILLING], "summary": [{**DAILY, "channel": "slack:C", "at": 9}]},
            "summary.0.at: write a time",
        ),
        (
            {"slack": {**SLACK, "polls_per_minute": 51}},
            "slack.polls_per_minute: must be a whole number from 1 to 50",
        ),
    ],
)
def test_a_value_that_breaks_a_rule_is_named_with_the_rule(table: Mapping[str, Any], told: str) -> None:
    assert refused(table).startswith(told)


def test_a_summary_may_go_to_a_platform_from_outside() -> None:
    table = {"team": [BILLING], "summary": [{**DAILY, "channel": "matrix:!a"}], "platforms": {"matrix": {}}}
    assert Config.model_validate(table).summary[0].channel == "matrix:!a"


def test_a_wrong_day_is_told_once() -> None:
    """Not also that the list without it is empty."""
    summary = {"slug": "s", "team": "b", "channel": "slack:C", "at": "09:00", "days": ["Monday"]}
    told = refused({"team": [{"slug": "b", "name": "B"}], "summary": [summary]})
    assert told.startswith("summary.0.days.0: ")
    assert "\n" not in told


def test_a_configuration_can_not_be_changed() -> None:
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.http = config.http
