"""The whole service in the test's own process, on real Kafka, PostgreSQL and the simulator, for the loop's tests."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import api, channels
from schemas.channels import Channel, Message
from schemas.ids import AttemptId, ConnectorId, ProviderId, TenantId
from schemas.lifecycle import ActorKind, State
from schemas.secret import Secret
from service.app import Service, assemble, worker_of
from service.demo.simulator import Simulator, person
from service.demo.simulator.seed import OLIVIA, PASSWORD
from service.engine.deadlines import fire_deadlines
from service.engine.jobs import run_jobs
from service.engine.submission import Actor, Receipt, Submission, Trace
from service.oauth.flow import Opened
from service.oauth.refresh import Denied
from service.oauth.window import Begun, Returned, WindowView
from service.roll_out import migrate
from service.settings import Settings
from service.vault.keys import generate_key_file
from statemachine.inputs import Register

QUICKBOOKS = ProviderId("quickbooks-online")
TENANT = TenantId("drivewell")
PUBLIC_URL = "http://127.0.0.1:18080"
COMPLETION_URL = "http://127.0.0.1:18081/complete"
HOST = Actor(ActorKind.HOST, "test")
OWNER = api.Person(id="u-olivia", name="Olivia")
PATIENCE_S = 20.0


def settings_for(
    dsn: str,
    bootstrap: str,
    prefix: str,
    keys: Path,
    simulator: Simulator,
    rules: dict[str, object],
    more: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings of a development deployment that takes the simulator for Intuit; `more` is laid over its sections."""
    at = simulator.addresses
    jwt_key = keys.parent / "jwt.key"
    jwt_key.write_text(secrets.token_urlsafe(48))
    jwt_key.chmod(0o600)
    client = simulator.world.client
    simulated = {
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "hosts": intuit_hosts(at.accounts, at.oauth, at.api),
        "allow_loopback_http": True,
        "accounts_may_repeat": True,  # tests connect one company as often as they like
    }
    given: dict[str, Any] = {
        "database": {"dsn": dsn},
        "kafka": {"bootstrap": bootstrap, "topic_prefix": prefix},
        "shards": 2,
        "http": {"public_url": PUBLIC_URL, "port": 0},
        "keys": {"folder": keys},
        "jwt": {"issuer": "https://host.example", "audience": "regrant", "hs256_key_file": jwt_key},
        "web": {"host_name": "Drivewell", "completion_url": COMPLETION_URL},
        "providers": {QUICKBOOKS: simulated},
        "rules": rules,
        "limits": dict.fromkeys(("address", "connector", "tenant", "open_attempts"), 100_000),
        "development": True,
    }
    for section, values in (more or {}).items():
        given[section] = {**given.get(section, {}), **values} if isinstance(values, Mapping) else values
    for provider, own in given["providers"].items():  # further ones are played by the simulator, too
        given["providers"][provider] = {**simulated, **own}
    return Settings.model_validate(given)


def intuit_hosts(accounts: str, oauth: str, api_: str) -> dict[str, str]:
    """Where Intuit's hosts are when the simulator plays them."""
    return {
        "appcenter.intuit.com": accounts,
        "oauth.platform.intuit.com/op": accounts,
        "oauth.platform.intuit.com": oauth,
        "developer.api.intuit.com": oauth,
        "quickbooks.api.intuit.com": api_,
        "public.api.intuit.com": api_,
    }


async def eventually(condition: Callable[[], Any], what: str, *, patience_s: float = PATIENCE_S) -> Any:
    """What `condition` answers once it answers something true; it may be a coroutine function."""
    try:
        async with asyncio.timeout(patience_s):
            while True:
                answer = condition()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


@dataclass
class Topics:
    """Everything that was published, by topic and key, in order."""

    bootstrap: str
    prefix: str
    records: dict[str, dict[str, list[Any]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    async def follow(self) -> None:
        topics = [self.prefix + c.topic for c in (channels.TRANSITIONS, channels.STATES, channels.SYNC_REQUESTS)]
        topics += [self.prefix + c.dead_letters for c in channels.INPUTS]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, fetch_max_wait_ms=50)
        await consumer.start()
        try:
            parts = [TopicPartition(t, p) for t in topics for p in consumer.partitions_for_topic(t) or ()]
            for topic in topics:
                while not (known := await consumer._client.fetch_all_metadata()).partitions_for_topic(topic):
                    await asyncio.sleep(0.05)
                parts += [TopicPartition(topic, p) for p in known.partitions_for_topic(topic)]
            consumer.assign(sorted(set(parts)))
            await consumer.seek_to_beginning()
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        topic = partition.topic.removeprefix(self.prefix)
                        self.records[topic][(record.key or b"").decode(errors="replace")].append(record)
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follows them as long as the block lasts."""
        following = asyncio.create_task(self.follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def data(self, channel: Channel, key: str) -> list[Any]:
        return [orjson.loads(r.value) if r.value else None for r in self.records[channel.topic][key]]

    def path(self, key: str) -> list[str]:
        """The states that a connector went through, repeats of an event dropped."""
        seen = {r["version"]: r["to"] for r in self.data(channels.TRANSITIONS, key)}
        return [seen[version] for version in sorted(seen)]


class Loop:
    """A running service with its neighbours."""

    def __init__(self, service: Service, simulator: Simulator, topics: Topics, producer: AIOKafkaProducer) -> None:
        self.service, self.simulator, self.topics = service, simulator, topics
        self._producer = producer
        self._worker: asyncio.Task[None] | None = None

    async def take_over(self) -> None:
        """Another worker takes the place of this one."""
        await self.stop_worker()
        self._worker = asyncio.create_task(worker_of(self.service, lambda: None).run())

    async def stop_worker(self) -> None:
        if self._worker is None:
            return
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)

    async def all_is_out(self) -> None:
        """Waits until the relay has noted that everything is published."""
        behind = "select count(*) from shard where published_seq < next_seq - 1"

        async def none_is_behind() -> bool:
            return bool(await self.pool.fetchval(behind) == 0)

        await eventually(none_is_behind, "all is published")

    @property
    def pool(self):  # type: ignore[no-untyped-def]
        return self.service.pool

    # What hosts do.

    async def register(self, name: str | None = None, *, connected: bool = False) -> ConnectorId:
        id_ = ConnectorId(name or f"c-{uuid4().hex[:8]}")
        registered = Register(connector=id_, tenant=TENANT, provider=QUICKBOOKS, name="Books", connected=connected)
        await self.service.engine.submit(Submission(input=registered, actor=HOST, tenant=TENANT))
        return id_

    async def open(self, connector: ConnectorId) -> tuple[AttemptId, Secret]:
        opened = await self.service.flow.open(
            tenant=TENANT, connector=connector, person=OWNER, return_url=None, actor=HOST, trace=Trace()
        )
        assert isinstance(opened, Opened), opened
        handoff = opened.attempt.handoff
        assert handoff is not None
        return AttemptId(opened.attempt.attempt_id), Secret(handoff.url.rsplit("/", 1)[1])

    async def connected(self, company: str = "Drivewell Inc") -> ConnectorId:
        """A connector that went through its first connection and its first sync."""
        id_ = await self.register()
        attempt, handoff = await self.open(id_)
        begun = await self.begun(handoff)
        returned = await self.returned(begun, await self.signed_in(begun, company=company))
        assert returned.completion_url is not None
        token = Secret(returned.completion_url.reveal().rsplit("=", 1)[1])
        done = await self.service.flow.complete(
            tenant=TENANT, attempt=attempt, completion_token=token, person_id=OWNER.id, actor=HOST, trace=Trace()
        )
        assert isinstance(done, Receipt)
        await self.state(id_, State.SYNCING)
        await self.say(id_, channels.SYNC_SUCCEEDED, generation=1)
        await self.state(id_, State.HEALTHY)
        return id_

    async def failed(self, company: str = "Drivewell Inc") -> ConnectorId:
        """A connector whose sign-in stopped working after its first sync."""
        id_ = await self.connected(company)
        await self.fail(id_)
        await self.state(id_, State.FAILED)
        return id_

    async def say(self, id_: ConnectorId, message: Message, **data: object) -> None:
        """An event of the sync engine."""
        await self.produce(channels.SYNC_EVENTS, id_, message.type, data)

    async def produce(
        self,
        channel: Channel,
        id_: str,
        type_: str,
        data: object,
        *,
        value: bytes | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """`more` are further headers."""
        headers = {
            **(more or {}),
            "ce_specversion": "1.0",
            "ce_type": type_,
            "ce_id": uuid4().hex,
            "ce_source": "/host",
            "ce_subject": id_,
            "ce_time": datetime.now(UTC).isoformat(),
            "content-type": "application/json",
        }
        await self._producer.send_and_wait(
            self.topics.prefix + channel.topic,
            key=id_.encode(),
            value=orjson.dumps(data) if value is None else value,
            headers=[(name, text.encode()) for name, text in headers.items()],
        )

    async def fail(self, id_: ConnectorId, *, generation: int | None = 1, position: str | None = None) -> None:
        """The sync engine reports Intuit's answer to a refused token."""
        body = (
            '{"warnings":null,"intuitObject":null,"fault":{"error":[{"message":"message=AuthenticationFailed; '
            'errorCode=003200; statusCode=401","detail":"Token expired","code":"3200","element":null}],'
            '"type":"AUTHENTICATION"},"requestId":null,"time":1,"status":null}'
        )
        error = {"at": "api", "status": 401, "body": body, "request_id": "1-tid"}
        await self.say(id_, channels.SYNC_FAILED, generation=generation, error=error, position=position)

    # What people do.

    async def begun(self, handoff: Secret) -> Begun:
        begun = await self.service.flow.begin(handoff, None)
        assert isinstance(begun, Begun), begun
        return begun

    async def signed_in(
        self, begun: Begun, *, email: str = OLIVIA, company: str | None = "Drivewell Inc", consent: bool = True
    ) -> str:
        """Goes through the provider's pages; returns the callback's raw query."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            url = await person.sign_in(
                session, begun.url, email=email, password=PASSWORD, company=company, consent=consent
            )
        return url.raw_query_string

    async def returned(self, begun: Begun, query: str) -> Returned:
        returned = await self.service.flow.callback(QUICKBOOKS, query, begun.browser)
        assert isinstance(returned, Returned), returned
        return returned

    async def view(self, begun: Begun) -> WindowView:
        view = await self.service.flow.view(begun.attempt, begun.browser)
        assert isinstance(view, WindowView), view
        return view

    async def reconnect(self, id_: ConnectorId, *, company: str | None = "Drivewell Inc", email: str = OLIVIA) -> Begun:
        """The whole way of a person, up to the callback."""
        _, handoff = await self.open(id_)
        begun = await self.begun(handoff)
        await self.returned(begun, await self.signed_in(begun, company=company, email=email))
        return begun

    async def token(self, id_: ConnectorId, min_ttl: timedelta = timedelta(seconds=60)) -> api.AccessToken | Denied:
        return await self.service.tokens.access_token(TENANT, id_, min_ttl, "test")

    async def ages(self, id_: ConnectorId, left: timedelta = timedelta()) -> None:
        """Time passes: the access token has only so much of its hour left."""
        await self.pool.execute(
            "update credential set access_expires_at = now() + $2::interval,"
            " refreshed_at = now() + $2::interval - interval '1 hour'"
            " where status = 'current' and connector = (select id from connector where connector_id = $1)",
            id_,
            left,
        )

    async def refreshed(self, id_: ConnectorId) -> api.AccessToken | Denied:
        """A token after the one before has run out."""
        await self.ages(id_)
        return await self.token(id_)

    async def refused(self, id_: ConnectorId) -> object:
        """Why opening an attempt is refused."""
        answer = await self.service.flow.open(
            tenant=TENANT, connector=id_, person=OWNER, return_url=None, actor=HOST, trace=Trace()
        )
        assert isinstance(answer, Receipt), answer
        return answer.why

    # What is seen.

    def letters(self, key: str) -> list[Any]:
        return self.topics.records[channels.SYNC_EVENTS.dead_letters][key]

    async def row(self, id_: ConnectorId) -> Any:
        return await self.pool.fetchrow("select * from connector where connector_id = $1", id_)

    async def state(self, id_: ConnectorId, *states: State) -> Any:
        async def there() -> Any:
            row = await self.row(id_)
            return row if row and row["state"] in states else None

        return await eventually(there, f"{id_} in {', '.join(states)}")

    async def current(self, id_: ConnectorId) -> Any:
        return await self.pool.fetchrow(
            "select k.* from credential k join connector c on c.id = k.connector"
            " where connector_id = $1 and status = 'current'",
            id_,
        )

    async def path(self, id_: ConnectorId, *states: State) -> None:
        """Waits until the transitions topic shows exactly these states."""
        await eventually(lambda: self.topics.path(id_) == list(states), f"{id_}: {states}, not {self.topics.path(id_)}")


@asynccontextmanager
async def running_loop(
    dsn: str,
    bootstrap: str,
    prefix: str,
    folder: Path,
    rules: dict[str, object] | None = None,
    worker: bool = True,
    more: Mapping[str, Any] | None = None,
) -> AsyncIterator[Loop]:
    """The service as `serve --role all` (or `api`, without a worker) assembles it, without its port."""
    folder.mkdir(exist_ok=True)
    keys = folder / "keys"
    generate_key_file(keys)
    async with await Simulator.start() as simulator:
        simulator.world.client.redirect_uris.add(f"{PUBLIC_URL}/oauth/callback/{QUICKBOOKS}")
        settings = settings_for(dsn, bootstrap, prefix, keys, simulator, rules or {}, more)
        await migrate(settings)
        async with assemble(settings) as service:
            topics = Topics(bootstrap, prefix)
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4_000_000, linger_ms=0)
            await producer.start()
            tasks = [
                asyncio.create_task(coroutine)
                for coroutine in (
                    service.engine.run(),
                    run_jobs(service.engine, service.handlers),
                    fire_deadlines(service.engine),
                    service.refresher.run(ahead=True),
                    *([topics.follow()] if worker else []),
                )
            ]
            loop = Loop(service, simulator, topics, producer)
            if worker:
                await loop.take_over()
            try:
                yield loop
            finally:
                await loop.stop_worker()
                for task in reversed(tasks):
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await producer.stop()
