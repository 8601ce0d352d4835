"""The settings: every field with its type, its default, its sentence for the docs, and an example.

The name of a field is the name of its variable: `kafka.bootstrap` is `REGRANT_KAFKA__BOOTSTRAP`. A field of type
`Secret` can be read from a file, too: `REGRANT_DATABASE__DSN_FILE`.
"""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    DirectoryPath,
    Field,
    FilePath,
    ValidationInfo,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.secret import Secret
from service.settings.values import (
    absolute_url,
    broker,
    by_name,
    collector_url,
    duration,
    durations,
    is_loopback,
    items,
    json_object,
    mail_address,
    network,
    origin,
    secret,
    wrong,
)
from statemachine.connector import Rules

SecretText = Annotated[Secret, BeforeValidator(secret)]
Origin = Annotated[str, BeforeValidator(origin)]
Url = Annotated[str, BeforeValidator(absolute_url)]
Address = Annotated[str, BeforeValidator(mail_address)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )


class Database(Section):
    dsn: SecretText = Field(examples=["postgresql://regrant:…@db.example.com/regrant"])
    """The PostgreSQL database, as a libpq address."""
    pool_size: int = Field(8, ge=2, le=200)
    """The most connections that one process opens."""


class Kafka(Section):
    bootstrap: Annotated[tuple[Annotated[str, BeforeValidator(broker)], ...], BeforeValidator(items)] = Field(
        min_length=1, examples=["kafka-1.example.com:9092,kafka-2.example.com:9092"]
    )
    """The brokers to begin with, separated by commas."""
    topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]{0,100}$", examples=["staging."])
    """What stands before the name of every topic and of the consumer group."""
    create_topics: bool = True
    """Whether `regrant migrate` makes the topics that are missing; else it only checks them."""
    replication: int = Field(-1, ge=-1, le=10)
    """The replication factor of topics that are made; -1 is the brokers' default."""
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the brokers are spoken to."""
    ca_file: FilePath | None = Field(None, examples=["/etc/regrant/kafka/ca.crt"])
    """The authority that signed the brokers' certificates, as PEM; without it the system's authorities count."""
    certificate_file: FilePath | None = Field(None, examples=["/etc/regrant/kafka/tls.crt"])
    """The client's certificate, as PEM, where the brokers ask for one."""
    certificate_key_file: FilePath | None = Field(None, examples=["/etc/regrant/kafka/tls.key"])
    """The key of the client's certificate."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """The SASL mechanism."""
    username: str | None = Field(None, examples=["regrant"])
    """The SASL user."""
    password: SecretText | None = Field(None, examples=["…"])
    """The SASL user's password."""

    @model_validator(mode="after")
    def _credentials_fit_the_security(self) -> Self:
        sasl = self.security.startswith("SASL")
        for name in ("username", "password"):
            if sasl and getattr(self, name) is None:
                raise wrong(f"{self.security} needs it", name)
            if not sasl and getattr(self, name) is not None:
                raise wrong(f"{self.security} uses none; did you mean REGRANT_KAFKA__SECURITY=SASL_SSL?", name)
        if (self.certificate_file is None) != (self.certificate_key_file is None):
            raise wrong("certificate_file and certificate_key_file belong together", "certificate_file")
        return self


class Http(Section):
    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 in a container."""
    port: int = Field(8080, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    public_url: Origin = Field(examples=["https://connect.example.com"])
    """Where people and providers reach this service. The redirect address is made from it, never from a request."""
    trusted_proxies: Annotated[tuple[Annotated[str, BeforeValidator(network)], ...], BeforeValidator(items)] = Field(
        (), examples=["10.0.0.0/8,2001:db8::/32"]
    )
    """The networks of your proxies, separated by commas: from them alone `X-Forwarded-For` is believed, for limits."""


class Keys(Section):
    folder: Path | None = Field(None, examples=["/etc/regrant/keys"])
    """The key-encryption keys, one file each, by `regrant keys new`. This or transit_url: no key, no start."""
    transit_url: Origin | None = Field(None, examples=["https://vault.example.com:8200"])
    """HashiCorp Vault (or OpenBao), whose transit engine keeps the key instead of the folder."""
    transit_token_file: Path | None = Field(None, examples=["/vault/secrets/token"])
    """The file with the token for Vault, as an agent of Vault's keeps it; it is read again for each call."""
    transit_key: str = Field("regrant", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """The name of the transit key, which should be regrant's own."""
    transit_mount: str = Field("transit", pattern=r"^[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100})*$")
    """Where the transit engine is mounted."""
    transit_namespace: str | None = Field(None, examples=["platform/connectors"])
    """Vault's namespace, where it has some."""
    transit_ca_file: FilePath | None = Field(None, examples=["/etc/regrant/vault/ca.crt"])
    """The authority that signed Vault's certificate, as PEM; without it the system's authorities count."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.folder is None) == (self.transit_url is None):
            found, name = ("neither", "folder") if self.folder is None else ("both", "transit_url")
            raise wrong(f"exactly one of folder and transit_url is needed, not {found}", name)
        if self.transit_url is not None and self.transit_token_file is None:
            raise wrong("transit_url needs it", "transit_token_file")
        return self


class Jwt(Section):
    issuer: str = Field(min_length=1, examples=["https://app.example.com"])
    """The `iss` that the host's tokens must have."""
    audience: str = Field(min_length=1, examples=["regrant"])
    """The `aud` that the host's tokens must have."""
    hs256_key_file: FilePath | None = Field(None, examples=["/etc/regrant/jwt/hs256.key"])
    """The shared key of HS256 tokens, at least 32 bytes: for small set-ups."""
    jwks_file: FilePath | None = Field(None, examples=["/etc/regrant/jwt/jwks.json"])
    """The host's public keys (RS256, ES256) as a JWK set."""
    jwks_url: Url | None = Field(None, examples=["https://app.example.com/.well-known/jwks.json"])
    """Where the host publishes its public keys."""

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        given = [n for n in ("hs256_key_file", "jwks_file", "jwks_url") if getattr(self, n) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise wrong(f"exactly one of hs256_key_file, jwks_file and jwks_url is needed, not {found}", "jwks_url")
        return self


def _handoff_lifetime(given: object) -> object:
    return duration(given, "handoff_lifetime")


class Web(Section):
    host_name: str = Field(min_length=1, max_length=60, examples=["Drivewell"])
    """The host's name as people know it; the window shows it."""
    host_origin: Origin | None = Field(None, examples=["https://app.example.com"])
    """The host's pages: the window tells only them how it went, and only they may hold it."""
    frame_ancestors: Annotated[tuple[Origin, ...], BeforeValidator(items)] = Field(
        (), examples=["https://app.example.com"]
    )
    """Who may show the window in a frame, separated by commas; nobody else can."""
    return_urls: Annotated[tuple[Url, ...], BeforeValidator(items)] = Field(
        (), examples=["https://app.example.com/connections"]
    )
    """Where a browser may go after the window, separated by commas. An address must match one exactly."""
    completion_url: Url | None = Field(None, examples=["https://app.example.com/connections/complete"])
    """Where the host confirms an attempt that would pin a new account."""
    reconnect_url: Url | None = Field(None, examples=["https://app.example.com/connections/reconnect"])
    """Where `/reconnect/<provider>` and the links of notices lead: a page behind the host's login that opens an
    attempt, told `provider` and, by a notice, `connector_id`."""
    completion: Literal["new_accounts", "always"] = "new_accounts"
    """Which attempts the host's backend has to confirm before the sign-in counts: it can only be made stricter."""
    handoff_lifetime: Annotated[timedelta, BeforeValidator(_handoff_lifetime)] = Field(
        timedelta(minutes=10), examples=["PT5M"]
    )
    """How long a link to an attempt is good for, half an hour at most."""

    @model_validator(mode="after")
    def _links_are_short(self) -> Self:
        if not timedelta() < self.handoff_lifetime <= timedelta(minutes=30):
            raise wrong("must be more than zero, and half an hour at most", "handoff_lifetime")
        return self

    @model_validator(mode="after")
    def _completion_has_its_address(self) -> Self:
        if self.completion == "always" and self.completion_url is None:
            raise wrong("always needs REGRANT_WEB__COMPLETION_URL", "completion")
        if self.completion_url is not None and "?" in self.completion_url:
            raise wrong("must have no query: the attempt and its token are put there", "completion_url")
        return self


class Limits(Section):
    address: int = Field(default=120, ge=1, le=1_000_000)
    """How many sign-ins may be begun or come back a minute from one address; counted by each process."""
    connector: int = Field(default=60, ge=1, le=1_000_000)
    """How many a minute for one connector; attempts that are opened are counted over all processes."""
    tenant: int = Field(default=600, ge=1, le=1_000_000)
    """How many a minute for one tenant; likewise."""
    open_attempts: int = Field(default=5000, ge=1, le=10_000_000)
    """How many attempts of one tenant may be open at once."""
    questions: int = Field(default=30, ge=1, le=1_000_000)
    """How many questions `/help` answers a minute for one address; counted by each process."""


class Provider(Section):
    client_id: str = Field(min_length=1, examples=["ABzMZ…"])
    """The host's own app at the provider."""
    client_secret: SecretText = Field(examples=["…"])
    """The app's secret."""
    environment: str = Field("production", examples=["sandbox"])
    """Which environment of the provider's description is used."""
    extra_scopes: Annotated[tuple[str, ...], BeforeValidator(items)] = Field(
        (), examples=["com.intuit.identity.user.roles.read"]
    )
    """Further scopes to ask for, separated by commas: those that the provider grants to an app on request."""
    hosts: Annotated[dict[str, Origin], BeforeValidator(json_object)] = Field(
        default_factory=dict, examples=['{"quickbooks.api.intuit.com": "https://intuit-proxy.example.com"}']
    )
    """Other addresses in place of the provider's hosts, as JSON: a forward proxy of yours, or the simulator."""
    accounts_may_repeat: bool = False
    """Whether several connectors of one tenant may be connected to one account; then one sign-in repairs them all."""
    allow_loopback_http: bool = False
    """Whether `hosts` may be plain http on this machine: for the simulator, with REGRANT_DEVELOPMENT only."""

    @model_validator(mode="after")
    def _plain_http_is_allowed(self) -> Self:
        if not self.allow_loopback_http and any(url.startswith("http:") for url in self.hosts.values()):
            raise wrong("plain http needs allow_loopback_http", "hosts")
        return self


class Webhook(Section):
    url: Url = Field(examples=["https://app.example.com/webhooks/regrant"])
    """Where events are sent to, one POST each."""
    secret_files: Annotated[tuple[FilePath, ...], BeforeValidator(items)] = Field(
        min_length=1, max_length=3, examples=["/etc/regrant/webhooks/host"]
    )
    """Files with a signing secret each (`whsec_` and base64), separated by commas: each makes a signature, so that two
    overlap while a secret is replaced. They are read again for each event."""
    kinds: Annotated[tuple[Literal["transitions", "notices", "sync_requests"], ...], BeforeValidator(items)] = Field(
        ("transitions", "sync_requests"), min_length=1, examples=["notices"]
    )
    """What is sent, separated by commas: transitions (or of these only the notices: whom to wake, or silence), and
    sync_requests."""
    tenants: Annotated[tuple[str, ...], BeforeValidator(items)] = Field((), examples=["acme,umbrella"])
    """Whose events are sent, separated by commas; without it everybody's."""
    private: bool = False
    """Whether its host may resolve to an address that isn't public: one of your own network."""


class Mail(Section):
    host: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._:-]{1,253}$", examples=["smtp.example.com"])
    """The server that takes e-mail for connectors' contacts (RFC 6409). Without it, none is sent."""
    port: int = Field(default=587, ge=1, le=65535)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How it is spoken to; its certificate is always checked. `tls` (from the first byte) is mostly on port 465. `none`
    is for a relay on this machine, such as a sidecar, without a password."""
    ca_file: FilePath | None = Field(default=None, examples=["/etc/regrant/mail/ca.crt"])
    """The authority that signed its certificate, as PEM; without it the system's authorities count."""
    username: str | None = Field(default=None, min_length=1, examples=["regrant"])
    """The user to sign in as; without it nobody signs in."""
    password: SecretText | None = Field(default=None, examples=["…"])
    """The user's password."""
    sender: Address | None = Field(default=None, examples=["connections@example.com"])
    """The address that e-mail comes from; the name beside it is `REGRANT_WEB__HOST_NAME`."""
    reply_to: Address | None = Field(default=None, examples=["support@example.com"])
    """Where answers go, if not to the sender."""
    tenants: Annotated[tuple[str, ...], BeforeValidator(items)] = Field(default=(), examples=["acme,umbrella"])
    """Whose connectors' contacts are written to, separated by commas; without it everybody's."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.host is not None and self.sender is None:
            raise wrong("a host needs it", "sender")
        given = [name for name in ("username", "password") if getattr(self, name) is not None]
        if len(given) == 1:
            missing = "password" if given == ["username"] else "username"
            raise wrong("username and password belong together", missing)
        if self.security == "none" and self.password is not None:
            raise wrong("a password isn't sent in the clear: starttls or tls", "security")
        return self


class Adapter(Section):
    kind: Literal["airbyte", "fivetran", "nango"] | None = Field(None, examples=["fivetran"])
    """Whose webhooks come in here; or mapping_file."""
    mapping_file: FilePath | None = Field(None, examples=["/etc/regrant/adapters/own.yaml"])
    """A file that says what another sender's webhooks mean."""
    secret: SecretText = Field(examples=["…"])
    """What the sender signs with; for airbyte the last part of the address."""
    former_secret: SecretText | None = Field(None, examples=["…"])
    """Accepted, too, while the secret is replaced."""
    prefix: str = Field("", pattern=r"^[A-Za-z0-9._~-]{0,64}$", examples=["fivetran."])
    """What stands before the sender's id of a connection to make the connector's id."""
    unknown: Literal["dead_letter", "ignore"] = "dead_letter"
    """What becomes of word about a connection that is no connector of this deployment."""

    @model_validator(mode="after")
    def _one_mapping(self) -> Self:
        if (self.kind is None) == (self.mapping_file is None):
            found = "neither" if self.kind is None else "both"
            raise wrong(f"exactly one of kind and mapping_file is needed, not {found}", "kind")
        return self


def _retention(given: object, info: ValidationInfo) -> object:
    return duration(given, str(info.field_name))


class Retention(Section):
    log: Annotated[timedelta | None, BeforeValidator(_retention)] = Field(default=None, examples=["P400D"])
    """How long the history is kept, as ISO 8601: months that ended longer ago are dropped. Without it, for ever."""
    audit: Annotated[timedelta | None, BeforeValidator(_retention)] = Field(default=None, examples=["P400D"])
    """How long the audit is kept, who opened which secret and why, as ISO 8601: as above. Without it, for ever."""

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        for name, kept in (("log", self.log), ("audit", self.audit)):
            if kept is not None and kept < timedelta(days=31):
                raise wrong("must be 31 days at least: it is kept by month", name)
        return self


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    format: Literal["json", "console"] = "json"
    """One JSON object a line, or lines for people."""


class Metrics(Section):
    port: int | None = Field(default=None, ge=0, le=65535, examples=["9090"])
    """The port for Prometheus, `/metrics` on the address of `REGRANT_HTTP__HOST`; 0 takes a free one. Without it, none.
    Never open it to the public: it tells how many connectors there are, and how they fare."""


class Traces(Section):
    endpoint: Annotated[str, BeforeValidator(collector_url)] | None = Field(
        default=None, examples=["http://otel-collector:4318/v1/traces"]
    )
    """Where traces go, by OTLP over HTTP; `OTEL_EXPORTER_OTLP_ENDPOINT` does as well, and OpenTelemetry's other
    variables hold. Needs the extra `otel`."""


def _parsed_rules(given: object) -> object:
    """The rules with their durations parsed: pydantic alone would read `15:00` as fifteen hours."""
    if not isinstance(given, dict):
        return given
    rules: dict[str, Any] = dict(given)  # Any: not validated yet
    for name, default in _durations(Rules()):
        if name in rules:
            rules[name] = durations(rules[name], name) if isinstance(default, tuple) else duration(rules[name], name)
    return rules


def _durations(rules: Rules) -> Iterator[tuple[str, timedelta | tuple[timedelta, ...]]]:
    for field in fields(rules):
        if not isinstance(value := getattr(rules, field.name), int):
            yield field.name, value


class Settings(BaseSettings):
    """Everything that a deployment may set. `service.settings.load` reads one; tests and the demo make their own."""

    model_config = SettingsConfigDict(
        env_prefix="REGRANT_",
        env_nested_delimiter="__",
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    database: Database
    kafka: Kafka
    shards: int = Field(8, ge=1, le=4096)
    """How many shards there are, which is how many partitions each topic has. `regrant shards` adds some later."""
    http: Http
    keys: Keys
    jwt: Jwt
    web: Web
    providers: Annotated[dict[str, Provider], BeforeValidator(by_name)] = Field(default_factory=dict)
    provider_folders: Annotated[tuple[DirectoryPath, ...], BeforeValidator(items)] = Field(
        (), examples=["/etc/regrant/providers"]
    )
    """Folders with descriptions of further providers, separated by commas."""
    webhooks: Annotated[dict[Name, Webhook], BeforeValidator(by_name)] = Field(default_factory=dict)
    mail: Mail = Field(default_factory=Mail)
    adapters: Annotated[dict[Name, Adapter], BeforeValidator(by_name)] = Field(default_factory=dict)
    rules: Annotated[Rules, BeforeValidator(_parsed_rules)] = Field(default_factory=Rules)
    limits: Limits = Field(default_factory=Limits)
    retention: Retention = Field(default_factory=Retention)
    log: Log = Field(default_factory=Log)
    metrics: Metrics = Field(default_factory=Metrics)
    traces: Traces = Field(default_factory=Traces)
    development: bool = False
    """Allows what is wrong in production: plain http on this machine, and the provider simulator."""

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for field in fields(self.rules):
            value = getattr(self.rules, field.name)
            for one in value if isinstance(value, tuple) else (value,):
                if one <= (timedelta() if isinstance(one, timedelta) else 0):
                    raise wrong("must be more than zero", "rules", field.name)
        return self

    @model_validator(mode="after")
    def _what_is_plain_is_for_development(self) -> Self:
        if self.development:
            return self
        for path, url in self._urls():
            if url.startswith("http:"):
                raise wrong("must be https; plain http on this machine needs REGRANT_DEVELOPMENT=true", *path)
        for name, provider in self.providers.items():
            if provider.allow_loopback_http:
                raise wrong("needs REGRANT_DEVELOPMENT=true", "providers", name, "allow_loopback_http")
        if self.mail.security == "none" and self.mail.host is not None and not is_loopback(self.mail.host):
            raise wrong(
                "none is for this machine alone; elsewhere it needs REGRANT_DEVELOPMENT=true", "mail", "security"
            )
        return self

    def _urls(self) -> Iterator[tuple[tuple[str, ...], str]]:
        yield ("http", "public_url"), self.http.public_url
        of_the_web = (("web", name) for name in ("host_origin", "completion_url", "reconnect_url"))
        for section, name in (("keys", "transit_url"), ("jwt", "jwks_url"), *of_the_web):
            if (url := getattr(getattr(self, section), name)) is not None:
                yield (section, name), url
        for name in ("frame_ancestors", "return_urls"):
            for url in getattr(self.web, name):
                yield ("web", name), url
        for name, webhook in self.webhooks.items():
            yield ("webhooks", name, "url"), webhook.url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the caller's back: `load` reads, and hands in what it read."""
        return (init_settings,)
