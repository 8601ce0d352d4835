"""`regrant doctor`: looks at every part that a start needs, and says what is missing and how to mend it."""

import asyncio
import json
import os
import platform
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.kafka.clients import make_admin
from service.kafka.topics import Problem, ensure_topics
from service.mail.configured import configured_server
from service.mail.server import NotTaken
from service.oauth.configured import configured_providers
from service.oauth.description import BadDescription
from service.settings import Settings, SettingsError, load
from service.store.migrate import pending
from service.store.pool import TRANSIENT, Connection
from service.telemetry import traces
from service.telemetry.redaction import redacted_text
from service.vault.configured import key_source
from service.vault.keys import NoKey

LEAST_POSTGRES = 14
LEAST_HS256_KEY_BYTES = 32  # RFC 7518, 3.2
MOST_CLOCK_DIFFERENCE_S = 5.0
PATIENCE_S = 10.0

_DATABASE_ERRORS: tuple[type[BaseException], ...] = (*TRANSIENT, asyncpg.PostgresError)
_CONNECT_ERRORS: tuple[type[BaseException], ...] = (*_DATABASE_ERRORS, ValueError)  # an address that is none


class Verdict(StrEnum):
    """What an examination ends with."""

    OK = "ok"
    NOTE = "note"
    """Worth a look, but the service runs."""
    FAULT = "fault"
    """The service can't run like this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part."""

    part: str
    verdict: Verdict
    sentence: str
    mend: str = ""
    """What to do, where something is to be done."""

    @property
    def is_ok(self) -> bool:
        return self.verdict is not Verdict.FAULT


async def examine(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Looks at everything, and changes nothing. Without settings that hold, only they are told."""
    findings = [Finding("python", Verdict.OK, platform.python_version())]
    try:
        settings = load(environ, config)
    except SettingsError as error:
        return [*findings, Finding("settings", Verdict.FAULT, str(error), "docs/settings.md lists all settings")]
    findings.append(Finding("settings", Verdict.OK, "complete; `regrant settings` prints them"))
    parts = (_database, _kafka, _keys, _jwt, _providers, _mail, _public)
    async with asyncio.TaskGroup() as together:
        examined = [together.create_task(part(settings)) for part in parts]
    findings += _traces(settings, environ)
    return findings + [finding for of_one_part in examined for finding in of_one_part.result()]


def printed(findings: Sequence[Finding], *, as_json: bool = False) -> str:
    """The findings for people, a line each and one more for what to do; or as JSON."""
    if as_json:
        everything = {"ok": all(finding.is_ok for finding in findings), "findings": [asdict(f) for f in findings]}
        return json.dumps(everything, indent=2, ensure_ascii=False)
    width = max(len(finding.part) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:<5}  {finding.part:<{width}}  {finding.sentence}")
        if finding.mend:
            lines.append(f"{'':<5}  {'':<{width}}  → {finding.mend}")
    return "\n".join(lines)


def _traces(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    if not traces.are_wanted(settings.traces.endpoint, environ):
        return []
    if (missing := traces.missing()) is not None:
        return [Finding("traces", Verdict.FAULT, missing, "install regrant[otel], or set no address for traces")]
    return [Finding("traces", Verdict.OK, "OpenTelemetry is installed")]


# The database.


async def _database(settings: Settings) -> list[Finding]:
    dsn = settings.database.dsn.reveal()
    mend = "start PostgreSQL there, or correct REGRANT_DATABASE__DSN"
    try:
        opened = await asyncpg.connect(dsn, timeout=PATIENCE_S, command_timeout=PATIENCE_S)
    except _CONNECT_ERRORS as error:
        return [Finding("database", Verdict.FAULT, f"can't connect to {_place(dsn)}: {_text(error)}", mend)]
    try:
        return [
            _version(opened, dsn),
            await _migrations(opened),
            *await _shards(opened, settings),
            await _clock(opened),
        ]
    except _DATABASE_ERRORS as error:
        return [Finding("database", Verdict.FAULT, f"{_place(dsn)} doesn't answer: {_text(error)}", mend)]
    finally:
        await opened.close(timeout=PATIENCE_S)


def _version(opened: Connection, dsn: str) -> Finding:
    version = opened.get_server_version()
    if version.major < LEAST_POSTGRES:
        sentence = f"PostgreSQL {version.major}.{version.minor} is too old"
        return Finding("database", Verdict.FAULT, sentence, f"upgrade to PostgreSQL {LEAST_POSTGRES} or newer")
    return Finding("database", Verdict.OK, f"PostgreSQL {version.major}.{version.minor} at {_place(dsn)}")


async def _migrations(opened: Connection) -> Finding:
    left = await pending(opened)
    if left:
        return Finding("migrations", Verdict.FAULT, f"to be applied: {', '.join(left)}", "run `regrant migrate`")
    return Finding("migrations", Verdict.OK, "all are applied")


async def _shards(opened: Connection, settings: Settings) -> list[Finding]:
    if await opened.fetchval("select to_regclass('shard')") is None:
        return []
    there = await opened.fetchval("select count(*) from shard")
    if there == settings.shards:
        return [Finding("shards", Verdict.OK, str(there))]
    sentence = f"the database has {there}, the settings say {settings.shards}"
    return [Finding("shards", Verdict.FAULT, sentence, f"set REGRANT_SHARDS={there}")]


async def _clock(opened: Connection) -> Finding:
    """Deadlines go by the database's clock, tokens of the host by this machine's."""
    before, started = time.time(), time.monotonic()
    theirs: datetime = await opened.fetchval("select clock_timestamp()")
    middle = before + (time.monotonic() - started) / 2
    ahead_s = theirs.timestamp() - middle
    sentence = f"the database's is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    if abs(ahead_s) > MOST_CLOCK_DIFFERENCE_S:
        return Finding("clock", Verdict.FAULT, sentence, "let both machines follow one time server (NTP)")
    return Finding("clock", Verdict.OK, sentence)


def _place(dsn: str) -> str:
    """Where a database is, without who and how."""
    url = urlsplit(dsn)
    if url.scheme not in ("postgresql", "postgres"):
        return "what REGRANT_DATABASE__DSN says"
    return f"{url.netloc.rpartition('@')[2] or 'a local socket'}{url.path}"


# Kafka.


async def _kafka(settings: Settings) -> list[Finding]:
    brokers = ", ".join(settings.kafka.bootstrap)
    mend = "start the brokers, or correct REGRANT_KAFKA__BOOTSTRAP, __SECURITY and what belongs to it"
    try:
        admin = make_admin(settings.kafka)
    except (ssl.SSLError, ValueError) as error:
        return [Finding("kafka", Verdict.FAULT, f"a certificate can't be used: {_text(error)}", mend)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await admin.start()
            faults = await _topics(admin, settings)
    except (KafkaError, OSError, TimeoutError) as error:
        return [Finding("kafka", Verdict.FAULT, f"can't reach {brokers}: {_text(error)}", mend)]
    finally:
        await admin.close()
    return [Finding("kafka", Verdict.OK, f"at {brokers}"), *faults]


async def _topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[Finding]:
    kafka = settings.kafka
    found = await ensure_topics(admin, settings.shards, kafka.replication, create=False, prefix=kafka.topic_prefix)
    if not found:
        return [Finding("topics", Verdict.OK, "all are there, as they must be")]
    return [
        Finding(
            "topics",
            Verdict.FAULT if finding.is_fault else Verdict.NOTE,
            f"{finding.topic} {finding.sentence}",
            "run `regrant migrate`" if finding.problem is Problem.MISSING and kafka.create_topics else "",
        )
        for finding in found
    ]


# Files.


async def _keys(settings: Settings) -> list[Finding]:
    try:
        async with key_source(settings.keys) as source:
            number = await source.current()
    except (NoKey, OSError) as error:
        mend = f"run `regrant keys new {settings.keys.folder}`, or mount the Secret that holds the keys"
        if settings.keys.folder is None:
            mend = "let Vault's agent write REGRANT_KEYS__TRANSIT_TOKEN_FILE, and see docs/keys.md for its policy"
        return [Finding("keys", Verdict.FAULT, _text(error), mend)]
    return [Finding("keys", Verdict.OK, f"key {number} seals")]


async def _jwt(settings: Settings) -> list[Finding]:
    jwt = settings.jwt
    if jwt.hs256_key_file is not None:
        return [_hs256(jwt.hs256_key_file)]
    where = str(jwt.jwks_file or jwt.jwks_url)
    mend = f"put a JWK set there (RFC 7517) with the public keys of {jwt.issuer}"
    try:
        text = jwt.jwks_file.read_text() if jwt.jwks_file else await _fetched(where)
        count = len(KeySet.import_key_set(json.loads(text)).keys)
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        return [Finding("jwt", Verdict.FAULT, f"{where} can't be read: {_text(error)}", mend)]
    except (ValueError, TypeError, KeyError, JoseError) as error:
        return [Finding("jwt", Verdict.FAULT, f"{where} isn't a JWK set: {type(error).__name__}", mend)]
    if count == 0:
        return [Finding("jwt", Verdict.FAULT, f"{where} holds no key", mend)]
    return [Finding("jwt", Verdict.OK, f"{count} public key{'s' if count > 1 else ''} at {where}")]


def _hs256(file: Path) -> Finding:
    try:
        length = len(file.read_bytes().strip())
    except OSError as error:
        return Finding("jwt", Verdict.FAULT, f"{file} can't be read: {error.strerror}", "let this user read it")
    if length < LEAST_HS256_KEY_BYTES:
        mend = f"put at least {LEAST_HS256_KEY_BYTES} random bytes there, for example by `openssl rand -base64 48`"
        return Finding("jwt", Verdict.FAULT, f"{file} holds {length} bytes: too short a key for HS256", mend)
    return Finding("jwt", Verdict.OK, f"HS256 with the key in {file}")


async def _providers(settings: Settings) -> list[Finding]:
    if not settings.providers:
        mend = "set REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_ID and __CLIENT_SECRET_FILE, or another provider's"
        return [Finding("providers", Verdict.FAULT, "none is set: nobody could sign in anywhere", mend)]
    try:
        configured_providers(settings)
    except BadDescription as error:
        return [Finding("providers", Verdict.FAULT, str(error), "correct the description, or the provider's settings")]
    return [Finding("providers", Verdict.OK, ", ".join(sorted(settings.providers)))]


async def _mail(settings: Settings) -> list[Finding]:
    """Only a note: the service runs without, and what couldn't be sent waits. No message is sent."""
    server = configured_server(settings.mail)
    if server is None:
        return []
    where, mend = f"{server.host}:{server.port}", "correct the settings of `mail`, or mend the server"
    try:
        async with asyncio.timeout(PATIENCE_S), server.session() as session:
            await session.open()
    except (NotTaken, TimeoutError) as error:
        return [Finding("mail", Verdict.NOTE, f"{where}: {_text(error)}", mend)]
    return [Finding("mail", Verdict.OK, f"{where} lets us in")]


# The public address.


async def _public(settings: Settings) -> list[Finding]:
    """Only notes: the service may not run yet, and this machine may see another network than people do."""
    url = settings.http.public_url
    mend = f"after `regrant serve` has started, {url}/livez must answer people's browsers"
    try:
        await _fetched(f"{url}/livez")
    except (socket.gaierror, aiohttp.ClientConnectorDNSError):
        return [Finding("public url", Verdict.NOTE, f"{urlsplit(url).hostname} isn't known from here", mend)]
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        return [Finding("public url", Verdict.NOTE, f"{url} doesn't answer from here: {_text(error)}", mend)]
    return [Finding("public url", Verdict.OK, f"{url} answers")]


async def _fetched(url: str) -> str:
    """The body behind an address: at most 1 MB, without following redirects or a proxy of the environment (S28)."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
        session.get(url, allow_redirects=False, raise_for_status=True) as response,
    ):
        if response.status != 200:
            raise aiohttp.ClientError(f"status {response.status}")
        return (await response.content.read(1_000_000)).decode()


def _text(error: BaseException) -> str:
    if isinstance(error, KafkaConnectionError):
        return "no broker answers"  # its own text lists socket families
    return redacted_text(" ".join(str(error).split())) or type(error).__name__
