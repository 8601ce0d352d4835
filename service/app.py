"""The composition: from settings to a running service. The only file that knows every room."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

import structlog
from aiohttp import web
from yarl import URL

from schemas.ids import ConnectorId, ProviderId, Shard
from service.adapters.configured import configured_adapters
from service.adapters.producing import EventProducer
from service.adapters.routes import Receiving
from service.console.routes import build_console
from service.couriers.couriers import AnyEndpoint, Couriers
from service.engine.deadlines import fire_deadlines
from service.engine.door import Engine
from service.engine.expiry import warn_of_ends
from service.engine.jobs import Handler, run_jobs
from service.help.answers import Answers
from service.help.library import library
from service.help.passages import edition
from service.help.routes import build_help
from service.http.access import access_log, runner_of, traced
from service.http.api import build_api
from service.http.auth import Authenticator
from service.http.console import Sessions, make_link, operator
from service.http.context import LARGEST_BODY, Parts
from service.http.health import Probes, add_documents
from service.http.scrape import scrape_app
from service.insight.counting import Counter
from service.insight.facts import AttemptsFacts
from service.insight.feed import Feed
from service.insight.figures import Figures
from service.kafka.clients import make_consumer, make_plain_producer, make_producer
from service.kafka.published import Publication
from service.kafka.replays import Replayer, fault_of
from service.kafka.topics import partition_of
from service.kafka.work import Worker
from service.mail.configured import configured_mail
from service.mail.endpoint import MAIL
from service.oauth.configured import configured_providers
from service.oauth.description import Providers
from service.oauth.flow import Flow
from service.oauth.flow_settings import FlowSettings
from service.oauth.importing import Importer, import_lines
from service.oauth.keeper import Keeper
from service.oauth.limits import FlowLimits
from service.oauth.outbound import Outbound
from service.oauth.probe import Prober
from service.oauth.refresh import Refresher
from service.oauth.retire import Retirer
from service.oauth.rewrap import Rewrapper
from service.oauth.saved import SavedVerifier
from service.oauth.sharing import Sharer
from service.oauth.tokens import Tokens
from service.oauth.verdict import ReportedErrors
from service.oauth.verify import Verifier
from service.settings import Settings
from service.settings.model import Retention
from service.settings.printed import told_to_support
from service.store import migrate as migrations
from service.store import passages
from service.store.environments import settle_environments
from service.store.openings import clear_attempts
from service.store.pool import TRANSIENT, Pool, open_pool
from service.store.postgres import PostgresStore
from service.store.retention import AUDIT, LOG, PASSES, drop_partitions, ensure_partitions
from service.store.shards import count
from service.store.stories import traceparents
from service.telemetry import traces
from service.telemetry.process import tell_of_itself
from service.vault.configured import key_source
from service.vault.vault import Vault
from service.web.address import address_of, networks
from service.web.browser import Browser
from service.web.routes import build_web
from service.web.ways_in import WaysIn
from service.webhooks.configured import check_secrets, configured_endpoints
from service.webhooks.endpoint import Poster

log = structlog.get_logger()

Role = Literal["all", "api", "worker"]

DRAIN_S = 20.0
"""How long callbacks and jobs under way may take after SIGTERM: a lost code costs a person a login."""
COURIERS_CONNECTIONS = 2
"""Of a worker, beside its pool: what waits for hosts' endpoints never waits with what connectors wait for."""
PARTITIONS_EVERY_S = 6 * 3600
ATTEMPTS_KEPT = timedelta(days=30)
"""How long an attempt that has ended can still be asked for; the history keeps what became of it."""


@dataclass(frozen=True, slots=True)
class Service:
    """The assembled parts."""

    settings: Settings
    pool: Pool
    engine: Engine
    flow: Flow
    tokens: Tokens
    importer: Importer
    saved: SavedVerifier
    refresher: Refresher
    prober: Prober
    providers: Providers
    handlers: dict[str, Handler]
    rewrapper: Rewrapper
    counter: Counter


class NotMigrated(Exception):
    """The database isn't of this version."""

    def __init__(self, pending: Sequence[str]) -> None:
        super().__init__(f"the database lacks {', '.join(pending)}: run `regrant migrate` first")


@asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Service]:
    """All parts that every role needs, from the settings. Nothing runs yet. No key, no start."""
    check_secrets(settings.webhooks)
    configured_adapters(settings.adapters)  # a mapping that isn't one is no start, whatever the role
    providers = configured_providers(settings)
    async with key_source(settings.keys) as source:
        pool = await open_pool(settings.database.dsn.reveal(), size=settings.database.pool_size)
        try:
            async with pool.acquire() as connection:
                if pending := await migrations.pending(connection):
                    raise NotMigrated(pending)
                shards = await count(connection)
                await settle_environments(connection, {ProviderId(id_): p.environment for id_, p in providers.items()})
            async with Outbound() as outbound:
                yield _put_together(settings, shards, pool, Vault(source), providers, outbound)
        finally:
            await pool.close()


def _put_together(
    settings: Settings, shards: int, pool: Pool, vault: Vault, providers: Providers, outbound: Outbound
) -> Service:
    def shard_of(connector: ConnectorId) -> Shard:
        return Shard(partition_of(connector.encode(), shards))

    engine = Engine(
        PostgresStore(pool, settings.database.dsn.reveal()),
        shards=shards,
        shard_of=shard_of,
        rules=settings.rules,
        providers=ReportedErrors(providers),
        public_url=settings.http.public_url,
        traceparents=partial(_traceparents, pool),
    )
    keeper = Keeper(vault)
    public_url = settings.http.public_url
    flow = Flow(engine, pool, keeper, providers, outbound, _flow_settings(settings))
    retirer = Retirer(pool, keeper, providers, outbound)
    verifier = Verifier(engine, pool, keeper, providers, outbound, public_url)
    handlers: dict[str, Handler] = {"verify": verifier.run, "retire": retirer.retire, "shred": retirer.shred}
    refresher = Refresher(engine, pool, keeper, providers, outbound)
    tokens = Tokens(pool, keeper, refresher)
    prober = Prober(engine, pool, providers, refresher)
    handlers["probe"] = prober.run
    handlers["share"] = Sharer(engine, pool, keeper, providers).run
    importer = Importer(engine, pool, keeper, providers)
    return Service(
        settings,
        pool,
        engine,
        flow,
        tokens,
        importer,
        SavedVerifier(pool, keeper, providers, outbound, refresher),
        refresher,
        prober,
        providers,
        handlers,
        Rewrapper(pool, vault),
        Counter(pool),
    )


async def _traceparents(pool: Pool, connectors: Collection[int]) -> Mapping[int, str]:
    async with pool.acquire() as connection:
        return await traceparents(connection, connectors)


def _flow_settings(settings: Settings) -> FlowSettings:
    web_, limits = settings.web, settings.limits
    return FlowSettings(
        public_url=settings.http.public_url,
        handoff_lifetime=web_.handoff_lifetime,
        return_urls=frozenset(web_.return_urls),
        completion_url=web_.completion_url,
        always_completed_by_the_host=web_.completion == "always",
        limits=FlowLimits(limits.connector, limits.tenant, limits.open_attempts),
    )


async def serve(settings: Settings, role: Role) -> None:
    """Runs until SIGTERM or SIGINT; a second one ends the process at once."""
    end_traces = traces.set_up(settings.traces.endpoint)
    try:
        await _serve(settings, role)
    finally:
        await asyncio.to_thread(end_traces)


async def _serve(settings: Settings, role: Role) -> None:
    async with assemble(settings) as service:
        _collect_seldom()
        stop = _on_signals()
        draining = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            engine = tasks.create_task(service.engine.run(), name="engine")
            jobs = tasks.create_task(run_jobs(service.engine, service.handlers), name="jobs")
            background = [
                tasks.create_task(keep_partitions(service.pool, settings.retention), name="partitions"),
                tasks.create_task(service.refresher.run(ahead=role != "api"), name="refreshes"),
            ]
            if role in ("all", "worker"):
                background.append(tasks.create_task(fire_deadlines(service.engine), name="deadlines"))
                background.append(tasks.create_task(service.rewrapper.run(), name="rewrap"))
                background.append(tasks.create_task(_warn(service), name="expiry"))
                background.append(tasks.create_task(replayer_of(service).run(), name="replays"))
                background.append(tasks.create_task(worker_of(service, stop.set).run(), name="worker"))
                background.append(tasks.create_task(deliver(service), name="couriers"))
            if role in ("all", "api"):
                background.append(tasks.create_task(service.counter.run(), name="counting"))
            watched = await _watch(service, tasks) if settings.metrics.port is not None else None
            runner = await _listen(service, role, draining)
            log.info("serving", role=role, port=settings.http.port)
            await stop.wait()
            log.info("draining")
            draining.set()
            await _drain(runner, background, jobs, engine)
            if watched is not None:
                await watched()
        log.info("stopped")


async def console_link(settings: Settings, name: str) -> str:
    """A link that opens the console for an operator of that name, once, with every tenant's connectors."""
    pool = await open_pool(settings.database.dsn.reveal(), size=1)
    try:
        url, _ = await make_link(pool, settings.http.public_url, operator(name))
        return url.reveal()
    finally:
        await pool.close()


async def import_credentials(settings: Settings, lines: Sequence[bytes], say: Callable[[str], None]) -> int:
    """Imports grants that a host has already, beside the running service. Returns how many were refused."""
    async with assemble(settings) as service, asyncio.TaskGroup() as tasks:
        engine = tasks.create_task(service.engine.run(), name="engine")
        jobs = tasks.create_task(run_jobs(service.engine, service.handlers), name="jobs")
        refused = await import_lines(service.importer, lines, say)
        jobs.cancel()
        await asyncio.wait([jobs])
        engine.cancel()
        return refused


def _collect_seldom() -> None:
    """What is loaded by now stays. Batches hold no cycles, and looking for some took a twentieth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _drain(
    runner: web.AppRunner,
    background: Sequence["asyncio.Task[None]"],
    jobs: "asyncio.Task[None]",
    engine: "asyncio.Task[None]",
) -> None:
    """Callers first, then what feeds the engine, then jobs, and the engine last: all of them still use it."""
    await runner.cleanup()
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    jobs.cancel()
    await asyncio.wait([jobs], timeout=DRAIN_S)
    engine.cancel()


def worker_of(service: Service, shards_changed: Callable[[], None]) -> Worker:
    """The worker; it calls `shards_changed` when there are more partitions than this process has shards."""
    settings = service.settings
    publication = Publication(settings.kafka.topic_prefix, settings.http.public_url)
    return Worker(
        service.engine,
        publication,
        partial(make_consumer, settings.kafka),
        partial(make_producer, settings.kafka),
        shards_changed,
    )


def replayer_of(service: Service) -> Replayer:
    """What sends dead letters back that somebody wants read again."""
    return Replayer(service.pool, partial(make_plain_producer, service.settings.kafka))


async def _watch(service: Service, tasks: asyncio.TaskGroup) -> Callable[[], Awaitable[None]]:
    """Opens the port for Prometheus; what is returned closes it, last of all."""
    http, figures = service.settings.http, Figures(service.pool, tuple(endpoint_hosts(service.settings)))
    telling = [
        tasks.create_task(figures.run(), name="figures"),
        tasks.create_task(tell_of_itself(), name="tell-of-itself"),
    ]
    runner = runner_of(scrape_app(figures.fresh))
    await runner.setup()
    await web.TCPSite(runner, http.host, service.settings.metrics.port).start()
    log.info("tells_metrics", port=runner.addresses[0][1])

    async def end() -> None:
        await runner.cleanup()
        for task in telling:
            task.cancel()

    return end


async def _listen(service: Service, role: Role, draining: asyncio.Event) -> web.AppRunner:
    """Opens the port: probes for every role, the API and the window for those that serve them."""
    runner = runner_of(web_app(service, role, draining), DRAIN_S)
    await runner.setup()
    await web.TCPSite(runner, service.settings.http.host, service.settings.http.port).start()
    return runner


def web_app(service: Service, role: Role, draining: asyncio.Event) -> web.Application:
    """The HTTP side of a role: probes for all; the API, the window and the console where people and hosts come."""
    app = web.Application(middlewares=[traced, access_log], client_max_size=LARGEST_BODY)
    Probes(service.pool, draining.is_set).add_to(app)
    if role == "worker":
        return app
    settings, public_url = service.settings, service.settings.http.public_url
    authenticator = Authenticator(settings.jwt)
    api = build_api(app, parts_of(service), authenticator)
    add_documents(app)
    if settings.adapters:
        producer = EventProducer(partial(make_plain_producer, settings.kafka), settings.kafka.topic_prefix)
        Receiving(configured_adapters(settings.adapters), producer, service.pool).add_to(app)
    build_console(
        app,
        api,
        authenticator,
        Sessions(service.pool),
        public_url=public_url,
        development=settings.development,
    )
    speaking = build_web(
        app,
        flow=service.flow,
        facts=AttemptsFacts(service.pool),
        public_url=public_url,
        host_name=settings.web.host_name,
        frame_ancestors=settings.web.frame_ancestors,
        return_urls=settings.web.return_urls,
        host_origin=settings.web.host_origin,
        development=settings.development,
        trusted_proxies=settings.http.trusted_proxies,
        a_minute_from_an_address=settings.limits.address,
    )
    trusted = networks(settings.http.trusted_proxies)
    build_help(
        app,
        answers=Answers(service.pool),
        library=library(),
        public_url=public_url,
        host_name=settings.web.host_name,
        frame_ancestors=settings.web.frame_ancestors,
        counted_for=lambda request: address_of(request, trusted),
        language_of=Browser(public_url, development=settings.development).language,
        a_minute_from_an_address=settings.limits.questions,
    )
    WaysIn(speaking, service.prober, tuple(service.providers), settings.web.reconnect_url).add_to(app)
    return app


def parts_of(service: Service) -> Parts:
    """The service, as its API sees it."""
    return Parts(
        service.engine,
        service.flow,
        service.tokens,
        service.importer,
        service.saved,
        service.providers,
        service.pool,
        service.settings.http.public_url,
        service.counter,
        told_to_support(service.settings),
        partial(fault_of, prefix=service.settings.kafka.topic_prefix),
        Feed(service.pool),
        endpoint_hosts(service.settings),
    )


async def deliver(service: Service) -> None:
    """Tells the endpoints of the settings what happens in our shards, on connections of its own."""
    settings = service.settings
    if not endpoint_hosts(settings):
        return
    pool = await open_pool(settings.database.dsn.reveal(), size=COURIERS_CONNECTIONS)
    try:
        async with Poster() as poster:
            endpoints: list[AnyEndpoint] = [*configured_endpoints(settings.webhooks, poster)]
            mail = configured_mail(settings.mail, settings.web.host_name, service.providers, pool)
            if mail is not None:
                endpoints.append(mail)
            await Couriers(service.engine, pool, endpoints).run()
    finally:
        await pool.close()


def endpoint_hosts(settings: Settings) -> dict[str, str]:
    """The host of each endpoint that couriers bring to, by its name."""
    hosts = {name: URL(webhook.url).host or "" for name, webhook in settings.webhooks.items()}
    return hosts if settings.mail.host is None else {**hosts, MAIL: settings.mail.host}


async def _warn(service: Service) -> None:
    """Tells of credentials' known ends, by the settings and the descriptions of today."""
    described = {ProviderId(id_): config.description for id_, config in service.providers.items()}
    announced = {id_: description.lifetimes.announced_end for id_, description in described.items()}
    await warn_of_ends(service.engine, service.pool, announced)


async def keep_partitions(pool: Pool, retention: Retention) -> None:
    """Makes the next months long before they are needed, and drops what is no longer kept."""
    while True:
        try:
            async with pool.acquire() as connection:
                await ensure_partitions(connection)
                for tables, keep in ((LOG, retention.log), (AUDIT, retention.audit)):
                    if keep is not None and (dropped := await drop_partitions(connection, tables, keep)):
                        log.info("months_dropped", partitions=dropped)
                await clear_attempts(connection, ATTEMPTS_KEPT)
                await passages.keep(connection, edition())
        except (*TRANSIENT, *PASSES) as error:
            log.warning("partitions_wait", error=type(error).__name__)
        await asyncio.sleep(PARTITIONS_EVERY_S)


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            log.warning("stopped_at_once")
            raise SystemExit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    return stop
