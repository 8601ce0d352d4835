"""A child of the template: the service as `regrant serve --role all` runs it, but in a hurry, and under orders.

It dies at a point, or notes which it passes; and dies with whoever gave the orders.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import sys
from datetime import timedelta
from typing import Any

import uvloop
from aiohttp import web

import service.kafka.clients as kafka_clients
from schemas.routes import ROUTES
from service import app
from service.engine import expiry, jobs
from service.kafka import watch
from service.oauth import probe, refresh, rewrap
from service.oauth.description import load_descriptions
from service.settings import load
from service.store import due
from service.telemetry.logs import set_up_logs
from service.texts.catalogue import texts
from service.texts.language import ENGLISH
from tests.faults import tracer
from tests.faults.points import find_points
from tests.faults.tracer import When

Order = dict[str, Any]  # Any: what JSON can hold

POINTS = [point.name for point in find_points()]


def prepare() -> None:
    """What the template does once for all that are forked from it."""
    hurry()
    warm_up()
    join_a_group_of_its_own()


def hurry() -> None:
    """Leases and pauses as short as a test's patience. Their length is no part of what is tested."""
    watch.CHECK_EVERY_S = watch.FOLLOW_EVERY_S = 0.3
    jobs.LEASE = timedelta(seconds=1)
    jobs.RENEW_EVERY_S = 0.3
    refresh.REFRESH_LEASE = timedelta(seconds=1)
    refresh.TICK_S = expiry.TICK_S = rewrap.LOOK_EVERY_S = 0.4
    expiry.PAUSE = timedelta(seconds=1)
    probe.FIRST_PAUSE = timedelta(seconds=0.2)
    assert due.POSTPONE.count("$3::interval") == 1
    due.POSTPONE = due.POSTPONE.replace("$3::interval", "$3::interval / 8")  # a job that is to be tried again


def join_a_group_of_its_own() -> None:
    """Kafka's coordinator would wait six seconds for a dead member. Who owns a partition is decided in Postgres."""
    consumer = kafka_clients.AIOKafkaConsumer

    def of_own_group(*topics: str, **given: Any) -> Any:
        return consumer(*topics, **given | {"group_id": f"{given['group_id']}-{os.getpid()}"})

    kafka_clients.AIOKafkaConsumer = of_own_group


def warm_up() -> None:
    """What every process reads and compiles first is there already when one is forked."""
    load_descriptions()
    texts(ENGLISH)
    router = web.Application().router
    for route in ROUTES:
        router.add_resource(route.path)


def connect(address: str, who: Order) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    connection.sendall(json.dumps(who).encode() + b"\n")
    return connection


def live(address: str, order: Order) -> int:
    """From the fork to its end; returns the exit code."""
    random.seed()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    control = _Control(connect(address, {"is": "victim", "number": order["number"], "pid": os.getpid()}))
    if order.get("first"):
        control.begin(order["first"])
    try:
        settings = load()
        set_up_logs("info", "json")
        uvloop.run(_serve(settings, control))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        control.report()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


async def _serve(settings: Any, control: "_Control") -> None:
    asyncio.get_running_loop().add_reader(control.connection, control.read)
    await app.serve(settings, "all")


class _Control:
    """What a child is told, and what it tells."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._rest = b""
        self._seen: set[str] = set()

    def read(self) -> None:
        read = self.connection.recv(1 << 20)
        if not read:
            os._exit(1)  # nobody is left to be a victim for
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            order = json.loads(line)
            self.begin(order)
            if order.get("report"):
                self.report()
            self._say({"obeyed": True})

    def begin(self, order: Order) -> None:
        match order:
            case {"die_at": name, "when": when}:
                tracer.watch([name], lambda point, now: self._die(point, now, when))
            case {"record": True}:
                self._seen.clear()
                tracer.watch(POINTS, self._note)
            case {"report": True} | {"live": True}:
                tracer.unwatch()

    def report(self) -> None:
        """Tells which points were passed; also at a process's own end, as far as somebody still listens."""
        with contextlib.suppress(OSError):
            self._say({"seen": sorted(self._seen)})

    def _die(self, point: str, now: When, when: When) -> None:
        if now == when:
            self._say({"reached": point})
            tracer.die()

    def _note(self, point: str, now: When) -> None:
        if now == "before":
            self._seen.add(point)

    def _say(self, told: Order) -> None:
        self.connection.sendall(json.dumps(told).encode() + b"\n")
