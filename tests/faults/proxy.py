"""A TCP proxy before a server: cuts, refuses, stalls, delays; and, for PostgreSQL, swallows a commit's answer.

A commit whose answer is cut is the one fault that no server can be asked for: the transaction is stored, and nobody is
told. The proxy reads both sides' messages (PostgreSQL's protocol, version 3): once a COMMIT, or a statement of its own
transaction that writes, has gone to the server, what the server says is held back until it says that it is idle again
(ReadyForQuery `I`: the transaction is over); then both sides are closed.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from service.demo.embedded.child import free_port

Writes: TypeAlias = Callable[[bytes], bool]
"""Whether a statement's text, in lower case, writes what is to be cut."""

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_CHUNK = 65536


def any_commit(statement: bytes) -> bool:
    """A COMMIT, or a statement that writes and may be a transaction of its own."""
    return statement.lstrip().startswith(b"commit") or b"insert into" in statement or b"update " in statement


class Proxy:
    """Listens on a port of its own and passes on to `upstream`, which may be changed: new connections go there."""

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.port = free_port()
        self.delay_s = 0.0
        """Added to each piece, each way."""
        self.commits_cut = 0
        """How many commits' answers were swallowed."""
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writes: Writes | None = None
        self._armed: Writes | None = None
        self._has_cut = asyncio.Event()

    def dsn(self, dsn: str) -> str:
        """The address of the same database through this proxy."""
        parts = urlsplit(dsn)
        user = f"{parts.username}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    async def accept(self) -> None:
        """Listens (again)."""
        self._server = await asyncio.start_server(self._came, "127.0.0.1", self.port)

    async def refuse(self) -> None:
        """Cuts all connections and refuses new ones, until `accept`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Cuts all connections at once; new ones are welcome."""
        for link in list(self._links):
            link.close()

    def stall(self) -> None:
        """Passes nothing on, and closes nothing, until `resume`."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def cut_next_commit(self, writes: Writes = any_commit) -> asyncio.Event:
        """The next commit by a statement that `writes` is stored and its answer swallowed; the event says when."""
        self._writes, self._has_cut = writes, asyncio.Event()
        return self._has_cut

    async def close(self) -> None:
        await self.refuse()
        self.resume()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_cut(self, statement: bytes) -> bool:
        """Whether this statement's answer is the one to swallow: then it is this link's, and no other's."""
        if self._writes is None or not self._writes(statement.lower()):
            return False
        self._armed, self._writes = self._writes, None
        return True

    def give_back(self) -> None:
        """The statement turned out to be inside a longer transaction, or failed: the next one is the one."""
        self._writes = self._armed

    def cut_one(self) -> None:
        self.commits_cut += 1
        self._has_cut.set()

    async def flows(self) -> None:
        """Returns when a piece may go on."""
        await self._flowing.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side went away, which is what this proxy is for
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection(*self.upstream)
        link = _Link(self, writer, to_server[1])
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, to_server[1], link.said_by_client, link))
                both.create_task(self._pump(to_server[0], writer, link.said_by_server, link))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # likewise
        finally:
            self._links.discard(link)
            link.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        look: "Callable[[bytes], bytes]",
        link: "_Link",
    ) -> None:
        try:
            while piece := await source.read(_CHUNK):
                await self.flows()
                sink.write(look(piece))
                await sink.drain()
        finally:
            link.close()


@dataclass(eq=False)
class _Link:
    """One connection through the proxy, with what is known of its conversation."""

    proxy: Proxy
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    _from_client: bytearray = field(default_factory=bytearray)
    _from_server: bytearray = field(default_factory=bytearray)
    _started: bool = False
    _held: bytearray | None = None
    """What the server said since the statement whose answer is to be swallowed."""
    _statements: dict[bytes, bytes] = field(default_factory=dict)
    _portals: dict[bytes, bytes] = field(default_factory=dict)

    def close(self) -> None:
        for writer in (self.client, self.server):
            with contextlib.suppress(RuntimeError):  # the loop is closing, and takes the socket with it
                writer.transport.abort()

    def said_by_client(self, piece: bytes) -> bytes:
        """Notes what the client asks. Passes everything on but the wish to encrypt, which it answers itself: no."""
        self._from_client += piece
        if not self._started:
            if len(self._from_client) >= 8 and self._code() in (_SSL_REQUEST, _GSS_REQUEST):
                del self._from_client[:8]
                self.client.write(b"N")
                return self.said_by_client(b"") if self._from_client else b""
            if len(self._from_client) < 4 or len(self._from_client) < (size := self._size()):
                return b""
            start = bytes(self._from_client[:size])
            del self._from_client[:size]
            self._started = True
            return start + self.said_by_client(b"")
        passed = bytearray()
        for kind, body, whole in _messages(self._from_client):
            passed += whole
            statement = self._asked(kind, body)
            if statement is not None and self._held is None and self.proxy.take_cut(statement):
                self._held = bytearray()
        return bytes(passed)

    def said_by_server(self, piece: bytes) -> bytes:
        """Holds back the answer that is to be swallowed, and closes when it is whole."""
        self._from_server += piece
        passed = bytearray()
        for kind, body, whole in _messages(self._from_server):
            if self._held is None:
                passed += whole
                continue
            self._held += whole
            if kind != b"Z":
                continue
            if body == b"I" and b"E" not in _kinds(self._held):
                self.proxy.cut_one()
                self.close()
                return b""
            self.proxy.give_back()
            passed += self._held
            self._held = None
        return bytes(passed)

    def _asked(self, kind: bytes, body: bytes) -> bytes | None:
        """The text of the statement that this message runs, if it runs one."""
        match kind:
            case b"Q":
                return body.rstrip(b"\0")
            case b"P":
                name, text, _ = body.split(b"\0", 2)
                self._statements[name] = text
            case b"B":
                portal, name, _ = body.split(b"\0", 2)
                self._portals[portal] = self._statements.get(name, b"")
            case b"E":
                return self._portals.get(body.split(b"\0", 1)[0])
        return None

    def _size(self) -> int:
        return int(struct.unpack_from("!I", self._from_client)[0])

    def _code(self) -> int:
        return int(struct.unpack_from("!I", self._from_client, 4)[0])


def _messages(buffer: bytearray) -> list[tuple[bytes, bytes, bytes]]:
    """Takes the whole messages out of a buffer: kind, body, and all of it."""
    found, at = [], 0
    while len(buffer) - at >= 5:
        (size,) = struct.unpack_from("!I", buffer, at + 1)
        if len(buffer) - at < size + 1:
            break
        whole = bytes(buffer[at : at + size + 1])
        found.append((whole[:1], whole[5:], whole))
        at += size + 1
    del buffer[:at]
    return found


def _kinds(messages: bytearray) -> set[bytes]:
    return {kind for kind, _, _ in _messages(bytearray(messages))}


@asynccontextmanager
async def before(dsn: str) -> AsyncIterator[Proxy]:
    """A proxy before a database."""
    parts = urlsplit(dsn)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()
