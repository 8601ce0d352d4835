"""Settings: where they come from, and the one line that says what is wrong."""

import re
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, load
from service.settings.document import PAGE, page
from service.settings.printed import printed
from service.settings.variables import variables

PLANTED = "s3cr3t-M4RK3R-value"
Environ = dict[str, str]


@pytest.fixture
def complete(tmp_path: Path) -> Environ:
    """The least that a start needs."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "hs256.key").write_bytes(b"k" * 32)
    return {
        "REGRANT_DATABASE__DSN": f"postgresql://regrant:{PLANTED}@db/regrant",
        "REGRANT_KAFKA__BOOTSTRAP": "kafka-1:9092, kafka-2:9092",
        "REGRANT_HTTP__PUBLIC_URL": "https://connect.example.com/",
        "REGRANT_KEYS__FOLDER": str(tmp_path / "keys"),
        "REGRANT_JWT__ISSUER": "https://app.example.com",
        "REGRANT_JWT__AUDIENCE": "regrant",
        "REGRANT_JWT__HS256_KEY_FILE": str(tmp_path / "hs256.key"),
        "REGRANT_WEB__HOST_NAME": "Drivewell",
        "PATH": "/usr/bin",
    }


@pytest.fixture
def refusal(complete: Environ) -> Callable[..., str]:
    """The line that a start with these changes ends with."""

    def line(without: str | None = None, **changes: str) -> str:
        environ = {**complete, **changes}
        if without:
            del environ[without]
        with pytest.raises(SettingsError) as error:
            load(environ)
        text = str(error.value)
        assert "\n" not in text
        assert PLANTED not in text
        return text

    return line


def test_the_least_that_is_needed_makes_settings(complete: Environ) -> None:
    settings = load(complete)
    assert settings.kafka.bootstrap == ("kafka-1:9092", "kafka-2:9092")
    assert settings.http.public_url == "https://connect.example.com"
    assert (settings.shards, settings.development) == (8, False)


def test_every_setting_that_is_left_out_is_named_with_what_it_is_and_an_example(
    complete: Environ, refusal: Callable[..., str]
) -> None:
    required = [v for v in variables() if v.required and "<" not in v.name]
    assert len(required) == 6
    for variable in required:
        text = refusal(without=variable.name)
        assert text.startswith(variable.name)
        assert "is missing" in text
        assert f"{variable.name}={variable.example}" in text
    text = refusal(without="REGRANT_KEYS__FOLDER")
    assert text.startswith("REGRANT_KEYS__FOLDER is wrong: exactly one of folder and transit_url is needed")
    with pytest.raises(SettingsError, match=r"and look at REGRANT_KAFKA__BOOTSTRAP, REGRANT_HTTP__PUBLIC_URL"):
        load({})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("REGRANT_HTTP__PORT", "abc", "integer"),
        ("REGRANT_SHARDS", "0", "greater than or equal to 1"),
        ("REGRANT_DATABASE__DSN", " ", "empty"),
        ("REGRANT_DATABASE__DSN_FILE", "/nowhere/dsn", "both set"),
        ("REGRANT_KAFKA__BOOTSTRAP", "kafka-1", "HOST:PORT"),
        ("REGRANT_KAFKA__SECURITY", "TLS", "SASL_SSL"),
        ("REGRANT_KAFKA__PASSWORD", PLANTED, "PLAINTEXT uses none"),
        ("REGRANT_PROVIDER_FOLDERS", "/nowhere", "does not point to a directory"),
        ("REGRANT_KEYS__TRANSIT_URL", "https://vault.example.com", "exactly one of"),
        ("REGRANT_KEYS__TRANSIT_KEY", "../sys/seal", "match"),
        ("REGRANT_JWT__JWKS_URL", "https://app.example.com/jwks", "exactly one of"),
        ("REGRANT_HTTP__PUBLIC_URL", "http://connect.example.com", "must be https"),
        ("REGRANT_HTTP__PUBLIC_URL", "http://127.0.0.1:8080", "REGRANT_DEVELOPMENT=true"),
        ("REGRANT_HTTP__PUBLIC_URL", "https://connect.example.com/regrant", "without a path"),
        ("REGRANT_WEB__RETURN_URLS", "https://app.example.com/a,https://u:p@evil.example", "user name"),
        ("REGRANT_WEB__RETURN_URLS", "//evil.example", "isn't an address"),
        ("REGRANT_WEB__RETURN_URLS", "https:\\\\evil.example", "isn't an address"),
        ("REGRANT_WEB__FRAME_ANCESTORS", "https://app.example.com/x", "without a path"),
        ("REGRANT_WEB__COMPLETION", "never", "'always'"),
        ("REGRANT_WEB__COMPLETION", "always", "REGRANT_WEB__COMPLETION_URL"),
        ("REGRANT_WEB__COMPLETION_URL", "https://app.example.com/complete?to=1", "no query"),
        ("REGRANT_WEB__HANDOFF_LIFETIME", "PT31M", "half an hour at most"),
        ("REGRANT_HTTP__TRUSTED_PROXIES", "10.0.0.0/8,proxy.example", "isn't a network"),
        ("REGRANT_LIMITS__ADDRESS", "0", "greater than or equal to 1"),
        ("REGRANT_RULES__ATTEMPT_TIME", "15:00", "ISO 8601"),
        ("REGRANT_RULES__ATTEMPT_TIME", "P", "ISO 8601"),
        ("REGRANT_RULES__CLOCK_SKEW", "-5", "ISO 8601"),
        ("REGRANT_RULES__REMINDERS", "P1D,PT0S", "more than zero"),
        ("REGRANT_RULES__SYNC_ASKS", "0", "more than zero"),
        ("REGRANT_LOG__LEVEL", "loud", "'debug'"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(refusal: Callable[..., str], name: str, value: str, says: str) -> None:
    text = refusal(**{name: value})
    assert name.removesuffix("_FILE") in text
    assert says in text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("REGRANT_KAFKA__BOOTSTRP", "did you mean REGRANT_KAFKA__BOOTSTRAP?"),
        ("REGRANT_DATABASE_DSN", "did you mean REGRANT_DATABASE__DSN?"),
        ("REGRANT_DATABASE__DNS_FILE", "did you mean REGRANT_DATABASE__DSN_FILE?"),
        ("REGRANT_RULES__ATTEMPT_TIMES", "did you mean REGRANT_RULES__ATTEMPT_TIME?"),
        ("REGRANT_HTTP__PORT_FILE", "did you mean REGRANT_HTTP__PORT?"),
        ("REGRANT_WHATEVER", "regrant settings --names"),
        ("REGRANT_SERVICE_HOST", "enableServiceLinks: false"),
        ("REGRANT_PORT_8080_TCP_ADDR", "enableServiceLinks: false"),
    ],
)
def test_an_unknown_variable_ends_the_start(refusal: Callable[..., str], name: str, says: str) -> None:
    text = refusal(**{name: "x"})
    assert text.startswith(f"{name} isn't a setting")
    assert says in text


def test_secrets_come_from_files(complete: Environ, tmp_path: Path) -> None:
    del complete["REGRANT_DATABASE__DSN"]
    (tmp_path / "dsn").write_text("postgresql://db/regrant\n")
    (tmp_path / "client").write_text("the client's secret\n")
    settings = load(
        {
            **complete,
            "REGRANT_DATABASE__DSN_FILE": str(tmp_path / "dsn"),
            "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_ID": "AB12",
            "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_SECRET_FILE": str(tmp_path / "client"),
        }
    )
    assert settings.database.dsn.reveal() == "postgresql://db/regrant"
    assert settings.providers["quickbooks-online"].client_secret.reveal() == "the client's secret"


def test_a_secret_s_variable_goes_before_its_file_in_the_settings_file(complete: Environ, tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://from-the-file/regrant")
    (tmp_path / "regrant.yaml").write_text(f"database: {{dsn_file: {tmp_path / 'dsn'}}}")
    complete["REGRANT_CONFIG"] = str(tmp_path / "regrant.yaml")
    assert load(complete).database.dsn.reveal() == complete.pop("REGRANT_DATABASE__DSN")
    assert load(complete).database.dsn.reveal() == "postgresql://from-the-file/regrant"


def test_toml_that_isn_t_is_told_with_its_line_and_not_its_text(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "regrant.toml").write_text(f"[database]\ndsn = {PLANTED}\n")
    assert "isn't TOML (at line 2" in refusal(REGRANT_CONFIG=str(tmp_path / "regrant.toml"))


def test_a_file_of_a_secret_that_is_missing_or_empty_is_told(
    refusal: Callable[..., str], complete: Environ, tmp_path: Path
) -> None:
    del complete["REGRANT_DATABASE__DSN"]
    (tmp_path / "empty").write_text("\n")
    assert "can't be read" in refusal(REGRANT_DATABASE__DSN_FILE=str(tmp_path / "none"))
    assert "is empty" in refusal(REGRANT_DATABASE__DSN_FILE=str(tmp_path / "empty"))


YAML = """
kafka:
  bootstrap: [one:1, two:2]
  topic_prefix: file.
providers:
  quickbooks-online:
    client_id: AB12
    client_secret: from the file
    hosts: {quickbooks.api.intuit.com: "https://proxy.example.com"}
rules:
  attempt_time: PT20M
  reminders: [3600, P1D]
"""

TOML = """
[kafka]
bootstrap = ["one:1", "two:2"]
topic_prefix = "file."
[providers.quickbooks-online]
client_id = "AB12"
client_secret = "from the file"
hosts = {"quickbooks.api.intuit.com" = "https://proxy.example.com"}
[rules]
attempt_time = "PT20M"
reminders = [3600, "P1D"]
"""


@pytest.mark.parametrize(("name", "text"), [("regrant.yaml", YAML), ("regrant.toml", TOML)])
def test_a_variable_goes_before_the_file_and_the_file_before_the_default(
    complete: Environ, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    del complete["REGRANT_KAFKA__BOOTSTRAP"]
    environ = {
        **complete,
        "REGRANT_CONFIG": str(tmp_path / name),
        "REGRANT_KAFKA__TOPIC_PREFIX": "variable.",
        "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_ID": "CD34",
    }
    settings = load(environ)
    assert settings.kafka.bootstrap == ("one:1", "two:2")
    assert settings.kafka.topic_prefix == "variable."
    provider = settings.providers["quickbooks-online"]
    assert (provider.client_id, provider.client_secret.reveal()) == ("CD34", "from the file")
    assert provider.hosts == {"quickbooks.api.intuit.com": "https://proxy.example.com"}
    assert settings.rules.attempt_time == timedelta(minutes=20)
    assert settings.rules.reminders == (timedelta(hours=1), timedelta(days=1))
    assert load({**complete, "REGRANT_KAFKA__BOOTSTRAP": "a:1"}, config=tmp_path / name).kafka.bootstrap == ("a:1",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kafka: {bootstrp: x}", "did you mean kafka.bootstrap?"),
        ("providers: {a: {client: x}}", "providers.a.client in"),
        ("rules: {attempt_times: PT1M}", "did you mean rules.attempt_time?"),
        ("http: {port: many}", "REGRANT_HTTP__PORT in"),
        ("http: 8080", "http in"),
        ("kafka: [", "isn't YAML (at line"),
        ("just text", "must hold sections"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_the_file(
    refusal: Callable[..., str], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "regrant.yaml").write_text(text)
    line = refusal(REGRANT_CONFIG=str(tmp_path / "regrant.yaml"))
    assert says in line
    assert "regrant.yaml" in line


def test_a_settings_file_that_cant_be_read_is_told(refusal: Callable[..., str], tmp_path: Path) -> None:
    assert "REGRANT_CONFIG is wrong" in refusal(REGRANT_CONFIG=str(tmp_path / "none.yaml"))


def test_plain_http_is_for_this_machine_and_for_development(complete: Environ) -> None:
    provider = "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__"
    simulator = {
        f"{provider}CLIENT_ID": "AB12",
        f"{provider}CLIENT_SECRET": PLANTED,
        f"{provider}HOSTS": '{"oauth.platform.intuit.com": "http://127.0.0.1:8702"}',
        f"{provider}ALLOW_LOOPBACK_HTTP": "true",
        "REGRANT_HTTP__PUBLIC_URL": "http://localhost:8080",
    }
    assert load({**complete, **simulator, "REGRANT_DEVELOPMENT": "true"}).http.public_url == "http://localhost:8080"
    for changes in (
        {"REGRANT_DEVELOPMENT": "false"},
        {f"{provider}ALLOW_LOOPBACK_HTTP": "false"},
        {f"{provider}HOSTS": '{"oauth.platform.intuit.com": "http://10.0.0.1"}'},
    ):
        with pytest.raises(SettingsError):
            load({**complete, **simulator, "REGRANT_DEVELOPMENT": "true", **changes})


MAIL = {
    "REGRANT_MAIL__HOST": "smtp.example.com",
    "REGRANT_MAIL__SENDER": "connections@example.com",
    "REGRANT_MAIL__USERNAME": "regrant",
    "REGRANT_MAIL__PASSWORD": PLANTED,
}


def test_e_mail_is_off_until_a_server_is_named(complete: Environ) -> None:
    assert load(complete).mail.host is None
    mail = load({**complete, **MAIL}).mail
    assert (mail.port, mail.security, mail.password and mail.password.reveal()) == (587, "starttls", PLANTED)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"SENDER": ""}, "REGRANT_MAIL__SENDER is wrong"),
        ({"SENDER": "Drivewell <us@example.com>"}, "REGRANT_MAIL__SENDER is wrong: isn't an e-mail address"),
        ({"REPLY_TO": "us@example.com\r\nBcc: all@example.com"}, "REGRANT_MAIL__REPLY_TO is wrong"),
        ({"USERNAME": ""}, "REGRANT_MAIL__USERNAME is wrong"),
        ({"SECURITY": "none"}, "a password isn't sent in the clear"),
        ({"SECURITY": "none", "PASSWORD": "", "USERNAME": ""}, "none is for this machine alone"),
        ({"HOST": "smtp://example.com"}, "REGRANT_MAIL__HOST is wrong"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else "",
)
def test_mail_settings_that_would_leak_or_go_nowhere_are_no_start(
    complete: Environ, changes: Environ, says: str
) -> None:
    given = {**MAIL, **{f"REGRANT_MAIL__{name}": value for name, value in changes.items()}}
    with pytest.raises(SettingsError, match=re.escape(says)) as told:
        load({**complete, **{name: value for name, value in given.items() if value}})
    assert PLANTED not in str(told.value)


def test_a_relay_on_this_machine_needs_no_encryption(complete: Environ) -> None:
    given = {"REGRANT_MAIL__HOST": "127.0.0.1", "REGRANT_MAIL__SENDER": "us@example.com"}
    assert load({**complete, **given, "REGRANT_MAIL__SECURITY": "none"}).mail.security == "none"


def test_what_is_printed_holds_every_setting_and_no_secret(complete: Environ) -> None:
    complete["REGRANT_PROVIDERS__XERO__CLIENT_ID"] = "AB12"
    complete["REGRANT_PROVIDERS__XERO__CLIENT_SECRET"] = PLANTED
    settings = load(complete)
    shown = printed(settings)
    assert PLANTED not in str(shown) + repr(settings) + str(settings)
    assert shown["REGRANT_DATABASE__DSN"] == "(set)"
    assert shown["REGRANT_KAFKA__PASSWORD"] == ""
    assert shown["REGRANT_PROVIDERS__XERO__CLIENT_ID"] == "AB12"
    named = {v.name.replace("<PROVIDER>", "XERO") for v in variables()}
    assert set(shown) == {name for name in named if "<" not in name}, "no webhook is set"


def test_what_is_printed_makes_the_same_settings_again(complete: Environ) -> None:
    settings = load(complete)
    again = {name: value for name, value in printed(settings).items() if value and value != "(set)"}
    dsn = complete["REGRANT_DATABASE__DSN"]
    assert printed(load({**again, "REGRANT_DATABASE__DSN": dsn})) == printed(settings)


def test_settings_that_are_made_in_code_read_no_environment(complete: Environ, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(complete)
    monkeypatch.setenv("REGRANT_SHARDS", "3")
    assert Settings(**{name: getattr(settings, name) for name in Settings.model_fields}).shards == 8


def test_every_setting_has_its_sentence() -> None:
    # The rules' sentences are docstrings of the state machine's own.
    assert [v.name for v in variables() if not v.sentence and v.path[0] != "rules"] == []


def test_the_page_of_the_docs_is_made_from_the_model() -> None:
    assert PAGE.read_text() == page(), "stale: run `python -m service.settings`"


def test_files_that_hold_secrets_may_be_readable_by_their_owner_alone(complete: Environ, tmp_path: Path) -> None:
    del complete["REGRANT_DATABASE__DSN"]
    (tmp_path / "dsn").write_text("postgresql://db/regrant")
    (tmp_path / "dsn").chmod(stat.S_IRUSR)
    assert load({**complete, "REGRANT_DATABASE__DSN_FILE": str(tmp_path / "dsn")})
