"""E-mail, on a real PostgreSQL and a real mail server: one message a notice and contact, as long as it holds."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from schemas.ids import ConnectorId, TenantId
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.door import Engine
from service.mail.endpoint import MAIL, MailEndpoint
from service.mail.message import Sender
from service.mail.server import NotTaken, Server
from service.store import contacts
from service.store.contacts import Contact
from service.store.couriers import Standing
from service.store.pool import Pool
from statemachine.inputs import Delete, Disconnect, Input, ReminderDue
from tests.couriers import delivering, look_often, stands
from tests.hostile.server import certificate
from tests.integration.test_engine import by_host, failed, pool_of, register, running, succeeded
from tests.loop import eventually
from tests.metrics import grown, here, labelled
from tests.planted.marking import MARKER
from tests.postoffice import PostOffice, refusing
from tests.unit.test_mail import PROVIDERS

ROBIN, ANA = "robin@drivewell.example", "ana@drivewell.example"
C1 = ConnectorId("c1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_often(monkeypatch)


@dataclass
class Stage:
    """An engine, and a post office for what it asks."""

    engine: Engine
    office: PostOffice = field(default_factory=PostOffice)

    @property
    def pool(self) -> Pool:
        return pool_of(self.engine)

    async def does(self, input_: Input) -> Any:
        return await self.engine.submit(by_host(input_))

    async def known(self, *addresses: str, connector: str = "c1", language: str = "en") -> None:
        """The connector has these contacts."""
        chosen = [Contact(Secret(address), language) for address in addresses]
        async with self.pool.acquire() as connection, connection.transaction():
            set_ = await contacts.set_contacts(connection, ConnectorId(connector), TenantId("t1"), chosen, "host")
        assert set_ is not None

    async def connected(self, *addresses: str, connector: str = "c1", language: str = "en") -> None:
        await self.does(register(connector))
        await self.known(*addresses, connector=connector, language=language)

    async def reminded(self) -> None:
        deadline = await self.pool.fetchval("select deadline from connector where connector_id = 'c1'")
        await self.does(ReminderDue(connector=C1, due=deadline))

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """A process delivers as long as the block lasts; it ends as if it were killed."""
        sender = Sender("connections@northwind.example", "Northwind Data")
        endpoint = MailEndpoint(self.pool, self.office.server(), sender, PROVIDERS, frozenset())
        async with delivering(self.engine, endpoint):
            yield

    async def stands(self, how: Callable[[Standing], bool], what: str) -> Standing:
        return await stands(self.pool, MAIL, how, what)

    async def all_told(self) -> None:
        """Waits until nothing that was asked so far waits any more."""
        await self.stands(lambda s: (s.behind, s.parked) == (0, 0), "nothing is behind")

    async def nobody_there(self) -> None:
        """Waits until a message couldn't be handed over."""
        await self.stands(lambda s: s.parked > 0 and s.failure == "the server can't be reached", "it is away")


@pytest.fixture
async def stage(database: str) -> AsyncIterator[Stage]:
    async with running(database) as engine:
        yield Stage(engine)


@pytest.fixture
async def open_(stage: Stage) -> AsyncIterator[Stage]:
    """With the post office open, and somebody who delivers."""
    async with stage.office.open(), stage.delivering():
        yield stage


async def test_p28_a_failure_is_one_message_to_each_contact_in_the_contacts_language(open_: Stage) -> None:
    await open_.connected(ROBIN)
    async with open_.pool.acquire() as connection, connection.transaction():
        both = [Contact(Secret(ROBIN), "en"), Contact(Secret(ANA), "de-AT")]
        await contacts.set_contacts(connection, C1, TenantId("t1"), both, "host")
    await open_.does(failed())
    await open_.does(failed(minute=2, reason=Reason.GRANT_REVOKED))  # the same login mends it
    await open_.all_told()
    assert open_.office.told() == {ROBIN: 1, ANA: 1}
    (robins,), (anas,) = open_.office.to(ROBIN), open_.office.to(ANA)
    assert robins.read["Subject"] == "Please sign in to QuickBooks again: Books"
    assert anas.read["Content-Language"] == "de"
    assert "Angemeldet" in anas.plain or "Anmeldung" in anas.plain
    for letter in (robins, anas):
        assert "/reconnect/quickbooks-online/c1" in letter.plain


async def test_p28_a_reminder_is_another_message_and_a_recovery_is_none(open_: Stage) -> None:
    await open_.connected(ROBIN)
    await open_.does(failed())
    await open_.all_told()
    await open_.reminded()
    await open_.all_told()
    await open_.does(succeeded(minute=3))
    await open_.all_told()
    subjects = [str(letter.read["Subject"]).partition(":")[0] for letter in open_.office.to(ROBIN)]
    assert subjects == ["Please sign in to QuickBooks again", "Reminder"]
    assert len({letter.read["Message-ID"] for letter in open_.office.to(ROBIN)}) == 2


async def test_who_has_no_contacts_is_no_message_and_nobody_elses_is_held_up(open_: Stage) -> None:
    await open_.connected()
    await open_.connected(ROBIN, connector="c2")
    await open_.does(failed())
    await open_.does(failed("c2"))
    await open_.all_told()
    assert open_.office.told() == {ROBIN: 1}


async def test_who_has_no_contacts_is_no_sign_that_the_server_is_up(stage: Stage) -> None:
    async with stage.office.open():
        pass
    async with stage.delivering():
        await stage.connected(ROBIN)
        await stage.does(failed())
        await stage.nobody_there()
        for name in ("c2", "c3"):  # of both shards
            await stage.connected(connector=name)
            await stage.does(failed(name))
        stands = await stage.stands(lambda s: (s.behind, s.parked) == (0, 1), "the others were passed")
        assert stands.accepted_at is None and stands.failing_since is not None


async def test_p28_what_couldnt_be_handed_over_is_once_the_server_is_back(stage: Stage) -> None:
    async with stage.office.open():
        pass  # so that it has its port
    names = [f"c{number}" for number in range(1, 8)]
    async with stage.delivering():
        for name in names:
            await stage.connected(f"{name}@drivewell.example", connector=name)
            await stage.does(failed(name))
        await stage.nobody_there()
        async with stage.office.open():
            await stage.all_told()
    assert stage.office.told() == {f"{name}@drivewell.example": 1 for name in names}


@pytest.mark.parametrize("ending", ["recovered", "disconnected", "deleted"])
async def test_p28_nobody_is_written_to_after_a_recovery_a_disconnect_or_a_deletion(stage: Stage, ending: str) -> None:
    async with stage.office.open():
        pass
    before = here()
    async with stage.delivering():
        await stage.connected(ROBIN)
        await stage.does(failed())
        await stage.nobody_there()
    match ending:  # between two tries
        case "recovered":
            await stage.does(succeeded())
        case "disconnected":
            await stage.does(Disconnect(connector=C1))
        case "deleted":
            await stage.does(Delete(connector=C1))
    async with stage.office.open(), stage.delivering():
        await stage.all_told()
    assert stage.office.letters == []
    dropped = grown(before, here(), "regrant_mails_total").get(labelled(outcome="dropped"), 0)
    assert dropped == (0 if ending == "deleted" else 1), "of a deleted connector nobody is known any more"


async def test_p28_of_notices_that_waited_only_the_newest_is_sent(stage: Stage) -> None:
    async with stage.office.open():
        pass
    async with stage.delivering():
        await stage.connected(ROBIN)
        await stage.does(failed())
        await stage.nobody_there()
        await stage.does(succeeded(minute=2))
        await stage.does(failed(minute=3))
        await stage.reminded()
        async with stage.office.open():
            await stage.all_told()
    (letter,) = stage.office.letters
    assert str(letter.read["Subject"]).startswith("Reminder")


async def test_an_address_that_is_refused_for_good_costs_nobody_elses_message(open_: Stage) -> None:
    open_.office.answering, before = refusing(ANA, "550 5.1.1 no such mailbox"), here()
    await open_.connected(ANA, ROBIN)
    await open_.does(failed())
    await open_.all_told()
    assert (open_.office.told(), open_.office.asked.count(ANA)) == ({ROBIN: 1}, 1)
    async with open_.pool.acquire() as connection:
        pk = await connection.fetchval("select id from connector where connector_id = 'c1'")
        refused = {c.address.reveal(): c.refused_at is not None for c in await contacts.contacts_of(connection, pk)}
    assert refused == {ANA: True, ROBIN: False}
    await open_.reminded()
    await open_.all_told()
    assert (open_.office.told(), open_.office.asked.count(ANA)) == ({ROBIN: 2}, 2)
    assert grown(before, here(), "regrant_mails_total") == {labelled(outcome="sent"): 2, labelled(outcome="refused"): 2}


async def test_an_address_that_is_put_off_is_tried_again_alone_even_by_another_process(stage: Stage) -> None:
    stage.office.answering = refusing(ANA, "450 4.2.0 greylisted")
    async with stage.office.open():
        async with stage.delivering():
            await stage.connected(ANA, ROBIN)
            await stage.does(failed())
            await eventually(lambda: stage.office.asked.count(ANA) >= 3, "it is tried again")
        async with stage.delivering():
            before = stage.office.asked.count(ANA)
            await eventually(lambda: stage.office.asked.count(ANA) > before, "by the other one")
            stage.office.answering = PostOffice().answering
            await stage.all_told()
    assert stage.office.told() == {ROBIN: 1, ANA: 1}


async def test_p28_a_message_whose_answer_was_lost_with_its_process_comes_again_as_the_same(stage: Stage) -> None:
    async with stage.office.open():
        stage.office.silent = True
        async with stage.delivering():
            await stage.connected(ROBIN)
            await stage.does(failed())
            await eventually(lambda: stage.office.letters, "it was taken, and nobody knows")
        stage.office.silent = False
        async with stage.delivering():
            await stage.all_told()
        async with stage.delivering():
            await stage.all_told()
    first, second = stage.office.to(ROBIN)
    assert first.read["Message-ID"] == second.read["Message-ID"]


async def test_whoever_stays_a_contact_isnt_told_twice(open_: Stage) -> None:
    open_.office.answering = refusing(ANA, "450 later")
    await open_.connected(ANA, ROBIN)
    await open_.does(failed())
    await eventually(lambda: open_.office.told() == {ROBIN: 1} and ANA in open_.office.asked, "one was told")
    open_.office.answering = PostOffice().answering
    await open_.known(ROBIN, "new@drivewell.example")
    await open_.all_told()
    assert open_.office.told()[ROBIN] == 1


async def test_a_deleted_connectors_contacts_are_gone_and_a_disconnected_ones_stay(stage: Stage) -> None:
    for name, ending in (("c1", Delete(connector=C1)), ("c2", Disconnect(connector=ConnectorId("c2")))):
        await stage.connected(ROBIN, ANA, connector=name)
        await stage.does(ending)
    kept = "select distinct connector_id from connector_contact k join connector c on c.id = k.connector"
    assert [row["connector_id"] for row in await stage.pool.fetch(kept)] == ["c2"]
    async with stage.pool.acquire() as connection, connection.transaction():
        assert await contacts.set_contacts(connection, C1, TenantId("t1"), [], "host") is None


async def test_s25_no_address_is_logged_or_kept_anywhere_but_with_its_connector(
    open_: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    address = "personal-quentin@drivewell.example"
    answers = iter(["450 4.2.0 <personal-quentin@drivewell.example> later", "550 5.1.1 <personal-quentin> unknown"])

    async def say(given: str) -> str:
        return next(answers, "250 OK")

    open_.office.answering = say
    await open_.connected(address)
    await open_.does(failed())
    await open_.all_told()
    await open_.reminded()
    await open_.all_told()
    await open_.does(succeeded(minute=3))
    assert open_.office.told() == {address: 1}
    out, err = capfd.readouterr()
    assert {"mail_not_accepted", "mail_refused", "mail_sent"} <= {w for w in (out + err).replace("=", " ").split()}
    assert "quentin" not in out + err
    tables = await open_.pool.fetch(
        "select table_name from information_schema.tables where table_schema = current_schema()"
    )
    for table in (row["table_name"] for row in tables):
        found = await open_.pool.fetchval(f"select count(*) from \"{table}\" t where t::text like '%quentin%'")
        assert found == (1 if table == "connector_contact" else 0), table


# The way to the server.


async def handed_over(server: Server) -> str | None:
    """Why a message wasn't taken; `None` where it was."""
    try:
        async with server.session() as session:
            message = b"Subject: x\r\n\r\nx\r\n"
            await session.hand_over("connections@northwind.example", Secret(ROBIN), message)
    except NotTaken as error:
        return error.what
    return None


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_proves_itself_gets_the_password_and_the_message(tmp_path: Path, security: str) -> None:
    trusted, office = certificate(tmp_path, "localhost"), PostOffice(login=("regrant", f"{MARKER}-mail"))
    login = ("regrant", Secret(f"{MARKER}-mail"))
    async with office.open(trusted.server, at_once=security == "tls"):
        how: dict[str, Any] = {"host": "localhost", "security": security, "tls": trusted.client}
        if security == "starttls":
            assert await handed_over(office.server(**how, login=login)) is None
            assert office.seen_login
            wrong = ("regrant", Secret("another"))
            assert await handed_over(office.server(**how, login=wrong)) == "the sign-in is refused (535)"
        else:
            office.login = None
            assert await handed_over(office.server(**how)) is None
    assert office.told() == {ROBIN: 1}


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(tmp_path: Path, security: str) -> None:
    office, mine, other = PostOffice(), certificate(tmp_path, "localhost"), certificate(tmp_path, "other.example")
    async with office.open(mine.server, at_once=security == "tls"):
        for tls in (PostOffice(port=office.port).server().tls, other.client):
            told = await handed_over(office.server(host="localhost", security=security, tls=tls))
            assert told == "the server's certificate isn't trusted"
    assert office.asked == []


async def test_nothing_is_sent_in_the_clear_to_a_server_without_starttls() -> None:
    office = PostOffice()
    async with office.open():
        told = await handed_over(office.server(security="starttls"))
    assert told == "the server doesn't offer what is needed: STARTTLS, or a way to sign in"
    assert office.asked == []
