"""What the service is killed amidst when ends come near: a known end, a hint of one, and the end of a key."""

from pathlib import Path

from yarl import URL

from service.vault.keys import generate_key_file
from tests.faults.lane import Books, Lane

HINT = "/oauth/disconnected/quickbooks-online"


async def warned_and_renewed(lane: Lane, books: Books) -> None:
    """The grant's end comes near, of which the owner is warned; then it moves away, and the warning is taken back."""
    await _ends_in(lane, books, "6 days")

    async def warned() -> bool:
        return (await lane.row(books))["warned"] is not None

    await lane.until(warned, f"the owner of {books.id} is warned")
    await _ends_in(lane, books, "5 years")

    async def taken_back() -> bool:
        return (await lane.row(books))["warned"] is None

    await lane.until(taken_back, "the warning is taken back")


async def _ends_in(lane: Lane, books: Books, left: str) -> None:
    await lane.database.execute(
        "update credential k set made_at = now() - interval '40 days', hard_expires_at = now() + $2::text::interval"
        " from connector c where c.id = k.connector and c.connector_id = $1 and k.status = 'current'",
        books.id,
        left,
    )


async def hinted(lane: Lane, books: Books) -> None:
    """Somebody says that the company was disconnected; the provider is away when it is asked first."""
    await lane.database.execute("delete from probe")
    away = lane.simulator.faults.throw("status", "oauth", endpoint="token", status=503, retry_after="1", remaining=1)
    async with lane.person() as person:
        page = URL(f"{lane.deployment.url}{HINT}").with_query(realmId=books.realm)
        assert (await lane.look(person, page)).status == 200

    async def probed() -> bool:
        return bool(await lane.database.fetchval("select count(*) = 0 from job where kind = 'probe'"))

    await lane.until(probed, "the provider was asked")
    lane.simulator.faults.lift(away.id)


async def rewrapped(lane: Lane, books: Books) -> None:
    """A new key is there: the data keys come under it while tokens are handed out."""
    number = int(generate_key_file(Path(lane.environment["REGRANT_KEYS__FOLDER"])).stem)

    async def under_it() -> bool:
        return bool(await lane.database.fetchval("select bool_and(key_number = $1) from data_key", number))

    await lane.until(under_it, f"all data keys are under key {number}")
    assert (await lane.token(books)).is_good
