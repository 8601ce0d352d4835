"""What a description must be: every fault is told with its file, line and field, before anything runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from schemas.secret import Secret
from service.cli import app
from service.oauth import description_schema
from service.oauth.callback import BadCallback
from service.oauth.callback_signature import check_signature, signature
from service.oauth.description import BadDescription, ProviderConfig, host_label, load_descriptions, read_descriptions
from service.texts.language import ENGLISH, LANGUAGES
from tests.providers.examples import PAGE, examples, write_examples

CATALOGUE = load_descriptions()
GOOD = examples()["ledgerly.yaml"]


def faults_of(folder: Path, text: str, name: str = "ledgerly.yaml") -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    with pytest.raises(BadDescription) as caught:
        read_descriptions([path])
    return str(caught.value)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_p26_the_ten_providers_and_one_to_build_on_are_in_the_catalogue() -> None:
    assert set(CATALOGUE) == {
        *("quickbooks-online", "xero", "salesforce", "hubspot", "google"),
        *("microsoft-entra", "netsuite", "stripe", "shopify", "oidc"),
    }


@pytest.mark.parametrize("id_", sorted(CATALOGUE))
def test_p26_a_description_names_its_sources_and_judges_a_dead_grant_and_our_own_mistake(id_: str) -> None:
    text = (description_schema.FILE.parent / f"{id_}.yaml").read_text()
    assert "# Sources: " in text
    verdicts = {(rule.at, rule.verdict) for rule in CATALOGUE[id_].errors}  # type: ignore[index]  # ids are texts
    assert {("token", "dead_grant"), ("token", "our_config"), ("api", "dead_grant")} <= verdicts


@pytest.mark.parametrize("id_", sorted(CATALOGUE))
def test_p26_a_description_speaks_every_language_and_leaves_nothing_in_english(id_: str) -> None:
    words = CATALOGUE[id_].words  # type: ignore[index]  # ids are texts
    assert set(words.in_) == set(LANGUAGES) - {ENGLISH}
    for other in words.in_.values():
        assert len(other.prerequisites) == len(words.prerequisites)
        assert not {*other.prerequisites} & {*words.prerequisites}
        assert (other.account, other.admin) not in [(words.account, words.admin)]


FAULTS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "a key that doesn't exist": (
        lambda text: text.replace("rotation:", "rotations:"),
        "rotations: there is no such key",
        "rotations:",
    ),
    "a key inside": (
        lambda text: text.replace("id_path:", "id_paths:"),
        "identity.id_paths: there is no such key",
        "id_paths:",
    ),
    "a value that isn't one": (
        lambda text: text.replace("single_use", "sometimes"),
        "rotation: Input should be 'none', 'interval' or 'single_use'",
        "rotation:",
    ),
    "a rule's reason": (
        lambda text: text.replace(
            "verdict: dead_grant, reason: access_revoked", "verdict: transient, reason: access_revoked"
        ),
        "errors.3: access_revoked doesn't go with transient",
        "verdict: transient",
    ),
    "an example of an id": (
        lambda text: text.replace("L-100002", "L-2"),
        "identity: the example L-2 doesn't fit the pattern",
        "identity:",
    ),
    "a key twice": (
        lambda text: text + "rotation: none\n",
        "rotation: twice, first in line",
        "rotation: none",
    ),
    "a language without texts": (
        lambda text: text.replace("words:", "words:\n  in: {nl: {account: rekening, admin: X, prerequisites: []}}"),
        "words.in: there are no texts in nl; there are in ar, de, es, fr, ja",
        "in: {nl",
    ),
    "no YAML": (lambda text: text.replace("words:", "words: ]"), "not YAML", "words: ]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_p26_a_fault_is_told_with_its_file_line_and_field(tmp_path: Path, fault: str) -> None:
    edit, said, where = FAULTS[fault]
    text = edit(GOOD)
    told = faults_of(tmp_path, text)
    assert f"ledgerly.yaml:{line_of(text, where)}: " in told
    assert said in told


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("https://login.ledgerly", "http://login.ledgerly"), "authorization_endpoint: http://login.ledgerly.example"),
        (('"{api}/oauth/token"', '"{apis}/oauth/token"'), "token_endpoint: nothing is known by the name {apis}"),
        (('"{api}/v1/me"', "https://{account_host}/v1/me"), "no braces in its host but a leading {account_host}."),
        (("scopes: [", "authorization_parameters: {state: x}\nscopes: ["), "authorization_parameters can't set state"),
        (("match: equals", "match: call_succeeds"), "`call_succeeds` needs {account}"),
    ],
)
def test_s13_s18_no_description_leads_a_token_elsewhere_or_sets_what_is_protected(
    tmp_path: Path, edit: tuple[str, str], said: str
) -> None:
    assert said in faults_of(tmp_path, GOOD.replace(*edit))


def test_s16_a_revocation_that_would_end_other_connectors_grants_cant_be_described(tmp_path: Path) -> None:
    text = (description_schema.FILE.parent / "xero.yaml").read_text().replace("id: xero", "id: another", 1)
    told = faults_of(tmp_path, text + "revocation_endpoint: https://identity.xero.com/connect/revocation\n", "x.yaml")
    assert "revocation_endpoint: it would end what the same person granted for other connectors" in told


def test_p26_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    told = faults_of(tmp_path, GOOD.replace("rotation:", "rotations:").replace("id_path:", "id_paths:"))
    assert len(told.splitlines()) >= 3


def test_a_description_is_built_on_another_and_never_on_itself(tmp_path: Path) -> None:
    folder = write_examples(tmp_path / "good")
    made = read_descriptions(folder.glob("*.yaml"))["our-login"]  # type: ignore[index]  # ids are texts
    assert made.environments == {"production": {"origin": "https://login.example.org"}}
    assert (made.words.title, made.words.admin) == ("Our Login", "administrator")
    assert "extends: extends itself" in faults_of(tmp_path, "extends: a\nid: a\n", "a.yaml")
    assert "a.yaml:1: extends: there is no description b" in faults_of(tmp_path, "extends: b\nid: a\n", "a.yaml")
    assert "is taken by another file" in faults_of(tmp_path, "extends: oidc\nid: google\n", "a.yaml")


# The command.


def test_providers_check_says_what_is_good(tmp_path: Path) -> None:
    folder = write_examples(tmp_path / "providers")
    result = CliRunner().invoke(app, ["providers", "check", *map(str, sorted(folder.iterdir()))])
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "ledgerly: good: Ledgerly, production, sandbox",
        "our-login: good: Our Login, production",
    ]


def test_providers_check_fails_with_the_fault(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(GOOD.replace("rotation:", "rotations:"))
    result = CliRunner().invoke(app, ["providers", "check", str(tmp_path / "bad.yaml")])
    assert isinstance(result.exception, BadDescription)
    assert "bad.yaml:" in str(result.exception)


def test_providers_list_has_each_of_them() -> None:
    result = CliRunner().invoke(app, ["providers", "list", "--json"])
    assert {row["id"] for row in json.loads(result.output)} == set(CATALOGUE)


# The schema of the file.


def test_p26_the_schema_takes_every_description() -> None:
    schema: dict[str, Any] = json.loads(description_schema.text())
    validator = jsonschema.Draft202012Validator(schema)
    for path in description_schema.FILE.parent.glob("*.yaml"):
        assert [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text()))] == [], path.name
    assert not validator.is_valid({**yaml.safe_load(GOOD), "rotations": "none"})


def test_the_page_and_its_table_name_every_provider() -> None:
    table = PAGE.with_name("providers.md").read_text()
    for description in CATALOGUE.values():
        title = {"microsoft-entra": "Microsoft Entra", "quickbooks-online": "QuickBooks Online", "oidc": "`oidc`"}
        assert f"| {title.get(description.id, description.words.title)} |" in table


# Addresses and signatures.


def config_of(id_: str, **rest: Any) -> ProviderConfig:
    return ProviderConfig(CATALOGUE[id_], "client", Secret("our-secret"), **rest)  # type: ignore[index]  # a text


def test_s18_an_account_never_leads_to_another_host() -> None:
    netsuite = config_of("netsuite")
    at = netsuite.description.token_endpoint
    assert netsuite.address(at, account="1234567_SB1").startswith("https://1234567-sb1.suitetalk.api.netsuite.com/")
    for evil in ("evil.example/", "a@evil.example", "x#", "a:1", "a\\evil", "ü", "a%2eb"):
        parts = urlsplit(netsuite.address(at, account=evil))
        assert (parts.hostname or "").endswith(".suitetalk.api.netsuite.com")
        assert (parts.username, parts.port, parts.path) == (None, None, "/services/rest/auth/oauth2/v1/token")
        assert host_label(evil).replace("-", "").isalnum() or host_label(evil) == ""


def test_hosts_of_a_deployment_stand_for_an_accounts_own_host_too() -> None:
    proxied = config_of("netsuite", hosts={"*.suitetalk.api.netsuite.com": "https://proxy.example"})
    assert proxied.address(proxied.description.token_endpoint, account="1").startswith(
        "https://proxy.example/services/"
    )


def test_s15_shopifys_callback_must_be_signed() -> None:
    shopify = config_of("shopify")
    values = {"code": "c0de", "shop": "drivewell.myshopify.com", "state": "st", "timestamp": "1700000000"}
    query = "&".join(f"{name}={value}" for name, value in values.items())
    signed = f"{query}&hmac={signature('our-secret', values)}"
    check_signature(shopify, signed)
    for forged in (
        query,
        signed.replace("drivewell", "evil-shop"),
        f"{query}&hmac={signature('x', values)}",
        query + "&hmac=",
    ):
        with pytest.raises(BadCallback):
            check_signature(shopify, forged)
    check_signature(config_of("google"), query)


def test_shopifys_signature_is_the_one_of_its_own_example() -> None:
    # From Shopify's page on verifying an installation request, with its sample secret.
    values = {
        "code": "0907a61c0c8d55e99db179b68161bc00",
        "shop": "some-shop.myshopify.com",
        "state": "0.6784241404160823",
        "timestamp": "1337178173",
    }
    assert signature("hush", values) == "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf"
