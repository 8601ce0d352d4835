"""What a store must do, as a list of named behaviours; PostgreSQL's and the tests' in-memory one both run it.

So what the simulation finds on the store in memory holds on PostgreSQL; `test_store_alike.py` adds random sequences.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from schemas.ids import ConnectorId, Generation, Shard
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.engine.fold import Unreadable
from service.engine.submission import JobLease
from service.store.batch import Conflict
from service.store.consequences import LeasesLost
from service.store.due import Job
from service.store.log import Logged, Watermark
from service.store.partitions import FenceLost, OffsetMove, Position
from statemachine import Rules
from statemachine.connector import Account
from statemachine.inputs import (
    AuthExpired,
    Cancelled,
    Delete,
    Disconnect,
    GrantReceived,
    GrantShared,
    ProviderUnavailable,
    Rejected,
    SyncSucceeded,
    Update,
    Verified,
)
from tests.integration.store_subjects import (
    BEGIN,
    C0,
    CODE,
    PAST,
    TOPIC,
    Subject,
    attempt,
    failed,
    in_memory,
    named,
    on_postgres,
    reauth,
    register,
    shard_of,
)

# The behaviours.


async def what_was_stored_is_loaded(s: Subject) -> None:
    await s.take(register(), failed())
    one = await s.loaded()
    assert (one.connector.state, one.connector.version, one.revision) == (State.FAILED, 2, 1)
    assert one.connector.reason is Reason.TOKEN_REFUSED
    assert one.connector.failed_since == BEGIN + timedelta(minutes=1)


async def what_is_absent_is_loaded_as_absent_of_its_ids_shard(s: Subject) -> None:
    one = await s.loaded("c1")
    assert (one.pk, one.revision, one.shard, one.connector.version) == (None, 0, Shard(1), 0)


async def nothing_named_is_the_time_alone(s: Subject) -> None:
    now, loaded = await s.store.load([], shard_of)
    assert loaded == {} and now.tzinfo is not None


async def a_batch_on_an_older_revision_is_a_conflict_and_leaves_nothing(s: Subject) -> None:
    await s.take(register())
    batch, now = await s.folded(failed())
    await s.take(Update(connector=C0, name="Others"))
    with pytest.raises(Conflict):
        await s.store.store(batch, now)
    assert [e.seq for e in await s.log()] == [1, 2]
    assert (await s.loaded()).connector.name == "Others"


async def an_id_that_was_registered_meanwhile_is_a_conflict(s: Subject) -> None:
    batch, now = await s.folded(register())
    await s.take(register())
    with pytest.raises(Conflict):
        await s.store.store(batch, now)


async def an_observation_raises_the_revision_alone(s: Subject) -> None:
    await s.take(register())
    await s.take(SyncSucceeded(connector=C0, occurred=BEGIN))
    one = await s.loaded()
    assert (one.connector.version, one.revision) == (1, 2)


async def a_claim_raises_the_epoch_and_keeps_the_offset(s: Subject) -> None:
    assert await s.store.position(TOPIC, 0) == Position(0, 0)
    assert await s.store.claim_partition(TOPIC, 0) == Position(1, 0)
    await s.take(register(), move=OffsetMove(TOPIC, 0, 1, 0, 3))
    assert await s.store.claim_partition(TOPIC, 0) == Position(2, 3)
    assert await s.store.position(TOPIC, 0) == Position(2, 3)


async def a_move_of_an_older_epoch_or_from_another_offset_loses_and_leaves_nothing(s: Subject) -> None:
    await s.store.claim_partition(TOPIC, 0)
    await s.store.claim_partition(TOPIC, 0)
    await s.store.claim_partition(TOPIC, 1)
    for epoch, first in ((1, 0), (2, 5), (3, 0)):
        lost, held = OffsetMove(TOPIC, 0, epoch, first, 6), OffsetMove(TOPIC, 1, 1, 0, 1)
        batch, now = await s.folded(register(), move=lost)
        batch.offsets.append(held)
        with pytest.raises(FenceLost) as raised:
            await s.store.store(batch, now)
        assert raised.value.moves == (lost,)
    assert await s.log() == []
    assert await s.store.position(TOPIC, 1) == Position(1, 0)


async def the_log_is_numbered_without_a_gap_in_each_shard(s: Subject) -> None:
    batch = await s.take(register("c0"), register("c1"), failed("c0"), register("c2"))
    assert [(t.shard, t.seq) for t in batch.transitions] == [(0, 1), (1, 1), (0, 2), (0, 3)]
    assert [(e.seq, named(e)) for e in await s.log(0)] == [(1, "c0/1"), (2, "c0/2"), (3, "c2/1")]
    assert [(e.seq, named(e)) for e in await s.log(0, after=1, limit=1)] == [(2, "c0/2")]
    assert [(e.seq, named(e)) for e in await s.log(1)] == [(1, "c1/1")]


async def an_entry_is_read_as_it_was_handed_to_the_relay(s: Subject) -> None:
    batch = await s.take(register(), Delete(connector=C0))
    kept = [replace(e, at=t.at) for e, t in zip(await s.log(), batch.transitions, strict=True) if isinstance(e, Logged)]
    for entry, told in zip(kept, batch.transitions, strict=True):
        assert (entry.seq, entry.shard, entry.connector, entry.tenant, entry.version, entry.deleted) == (
            told.seq,
            told.shard,
            told.connector,
            told.tenant,
            told.version,
            told.deleted,
        )
        assert (entry.record, entry.sync_request, entry.trace) == (told.record, told.sync_request, told.trace)
        assert entry.state == told.state


async def dead_letters_stand_in_the_log_behind_the_transitions_of_their_batch(s: Subject) -> None:
    await s.store.claim_partition(TOPIC, 0)
    await s.take(Unreadable("malformed", "d"), register(), move=OffsetMove(TOPIC, 0, 1, 0, 2))
    assert [(e.seq, named(e)) for e in await s.log(0)] == [(1, "c0/1"), (2, "@0")]
    letter = (await s.log(0))[1]
    assert not isinstance(letter, Logged)
    assert (letter.key, letter.value, letter.code, letter.topic, letter.offset) == (
        b"c0",
        b"value",
        "malformed",
        TOPIC,
        0,
    )


async def the_same_record_is_buried_once(s: Subject) -> None:
    await s.store.claim_partition(TOPIC, 0)
    batch, now = await s.folded(Unreadable("malformed", "d"), move=OffsetMove(TOPIC, 0, 1, 0, 1))
    await s.store.store(batch, now)
    with pytest.raises(FenceLost):  # that it was consumed is all that tells: a new cluster has the same places again
        await s.store.store(batch, now)
    assert len(await s.log(0)) == 1


async def the_watermark_moves_for_the_newest_relay_and_only_forward(s: Subject) -> None:
    await s.take(register(), failed())
    assert await s.store.claim_relay(Shard(0)) == Position(1, 0)
    assert await s.store.move_watermark(Shard(0), 1, 2)
    assert await s.store.move_watermark(Shard(0), 1, 1)
    assert await s.store.claim_relay(Shard(0)) == Position(2, 2)
    assert not await s.store.move_watermark(Shard(0), 1, 3)
    assert await s.store.claim_relay(Shard(0)) == Position(3, 2)


async def a_batch_takes_the_watermarks_of_its_shards_along(s: Subject) -> None:
    await s.take(register("c0"), register("c1"))
    for shard in (Shard(0), Shard(1)):
        await s.store.claim_relay(shard)
    marks = (Watermark(Shard(0), 1, 1), Watermark(Shard(1), 1, 1))
    await s.take(failed("c0"), marks=marks)
    assert await s.store.claim_relay(Shard(0)) == Position(2, 1)
    assert await s.store.claim_relay(Shard(1)) == Position(2, 0)
    await s.take(failed("c1"), marks=(Watermark(Shard(1), 1, 1),))
    assert await s.store.claim_relay(Shard(1)) == Position(3, 0)


async def an_attempt_is_opened_once(s: Subject) -> None:
    await s.take(register(), reauth(1))
    await s.take(Cancelled(connector=C0, attempt=attempt(1)))
    with pytest.raises(asyncpg.UniqueViolationError):
        await s.take(reauth(1))
    assert (await s.loaded()).connector.state is State.HEALTHY


async def how_far_attempts_came_is_told(s: Subject) -> None:
    await s.take(register(), reauth(1))
    assert await s.store.steps([attempt(1), attempt(9)]) == {attempt(1): Step.LINK_OFFERED}
    await s.take(Cancelled(connector=C0, attempt=attempt(1), step=Step.PROVIDER_PAGE))
    assert await s.store.steps([attempt(1)]) == {attempt(1): Step.PROVIDER_PAGE}


async def a_deadline_is_due_at_home_at_once_and_elsewhere_when_its_owner_is_late(s: Subject) -> None:
    await s.take(register(), reauth(1), rules=PAST)
    await s.take(register("c1"), reauth(2, "c1"))
    await s.take(register("c2"), reauth(3, "c2"), rules=Rules(attempt_time=timedelta(seconds=1)))  # not due yet
    assert shard_of(ConnectorId("c2")) == Shard(0)
    minute, hour = timedelta(seconds=30), timedelta(hours=1)
    [one] = await s.store.due([Shard(0)], hour, 10)
    assert (one.connector, one.state, one.step) == (C0, State.AWAITING_AUTH, Step.LINK_OFFERED)
    assert one.deadline == (await s.loaded()).connector.deadline
    assert await s.store.due([Shard(1)], hour, 10) == []
    assert [due.connector for due in await s.store.due([], minute, 10)] == [C0]
    assert await s.store.due([Shard(0)], hour, 0) == []
    await s.take(AuthExpired(connector=C0, due=one.deadline))
    assert await s.store.due([Shard(0)], hour, 10) == []


async def a_job_is_leased_once_and_again_when_its_lease_is_over(s: Subject) -> None:
    await _verifying(s)
    [job] = await s.store.lease_jobs(10, timedelta(hours=1))
    assert (job.kind, job.connector, job.attempt, job.tries) == ("verify", C0, attempt(1), 1)
    assert await s.store.lease_jobs(10, timedelta(hours=1)) == []
    await s.store.renew(job, timedelta(seconds=-60))
    [again] = await s.store.lease_jobs(10, timedelta(hours=1))
    assert (again.id, again.tries) == (job.id, 2) and again.lease != job.lease
    await s.store.renew(job, timedelta(seconds=-60))  # the lease isn't its any more
    await s.store.postpone(job, timedelta(seconds=-60))
    assert await s.store.lease_jobs(10, timedelta(hours=1)) == []
    await s.store.postpone(again, timedelta(hours=1))
    assert await s.store.lease_jobs(10, timedelta(hours=1)) == []


async def _verifying(s: Subject, number: int = 1, name: str = "c0") -> None:
    await s.take(register(name), reauth(number, name))
    await s.take(GrantReceived(connector=ConnectorId(name), attempt=attempt(number)), code=CODE)


async def _leased(s: Subject) -> Job:
    [job] = [job for job in await s.store.lease_jobs(10, timedelta(hours=1)) if job.kind == "verify"]
    return job


async def a_result_counts_while_its_lease_holds(s: Subject) -> None:
    await _verifying(s)
    job = await _leased(s)
    assert await s.add_candidate(job, Generation(1))
    verified = Verified(connector=C0, attempt=attempt(1), account=Account("9130", "Acme"))
    with pytest.raises(LeasesLost) as raised:
        await s.take(verified, lease=JobLease(job.id, str(uuid4())))
    assert raised.value.jobs == {job.id}
    await s.take(verified, lease=JobLease(job.id, str(job.lease)))
    one = await s.loaded()
    assert (one.connector.state, one.connector.generation) == (State.SYNCING, 1)
    with pytest.raises(LeasesLost):
        await s.take(verified, lease=JobLease(job.id, str(job.lease)))


async def a_candidate_is_kept_once_and_only_under_the_lease(s: Subject) -> None:
    await _verifying(s)
    job = await _leased(s)
    assert not await s.add_candidate(replace(job, lease=uuid4()), Generation(1))
    assert await s.add_candidate(job, Generation(1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await s.add_candidate(job, Generation(1))


async def without_its_candidate_nothing_is_swapped(s: Subject) -> None:
    await _verifying(s)
    job = await _leased(s)
    verified = Verified(connector=C0, attempt=attempt(1), account=Account("9130", "Acme"))
    with pytest.raises(AssertionError):
        await s.take(verified, lease=JobLease(job.id, str(job.lease)))
    assert (await s.loaded()).connector.state is State.VERIFYING


async def a_job_that_is_wanted_again_gives_its_lease_back(s: Subject) -> None:
    await _verifying(s)
    job = await _leased(s)
    away = ProviderUnavailable(connector=C0, attempt=attempt(1), reason=Reason.PROVIDER_UNAVAILABLE)
    await s.take(away, lease=JobLease(job.id, str(job.lease)), rules=Rules(backoff_base=timedelta(seconds=-60)))
    assert (await _leased(s)).id == job.id


async def an_attempt_that_ends_takes_its_job_along_and_retires_its_grant(s: Subject) -> None:
    await _verifying(s)
    job = await _leased(s)
    await s.add_candidate(job, Generation(1))
    wrong = Rejected(connector=C0, attempt=attempt(1), reason=Reason.WRONG_ACCOUNT, step=Step.EXCHANGED)
    await s.take(wrong, lease=JobLease(job.id, str(job.lease)))
    assert await _kinds(s) == ["retire"]


async def a_swap_retires_the_former_credential(s: Subject) -> None:
    await _connected(s, 1)
    assert await _kinds(s) == []
    await _connected(s, 2)
    assert await _kinds(s) == ["retire"]


async def _connected(s: Subject, number: int, name: str = "c0", account: str = "9130") -> None:
    """Registered (or known), re-authorised and verified."""
    await _verifying(s, number, name)
    job = await _leased(s)
    await s.add_candidate(job, Generation((await s.loaded(name)).connector.generation + 1))
    verified = Verified(connector=ConnectorId(name), attempt=attempt(number), account=Account(account, "Acme"))
    await s.take(verified, lease=JobLease(job.id, str(job.lease)))


async def _shared(s: Subject) -> Job:
    """The job for c2, which failed at the account that somebody has just signed in to for c0."""
    for number, (name, account) in enumerate((("c0", "9130"), ("c2", "9130"), ("c4", "9131"), ("c6", "9130")), start=1):
        await _connected(s, number, name, account)
    for name in ("c0", "c2", "c4"):
        await s.take(replace(failed(name), generation=Generation(1)))
    await _connected(s, 5)
    jobs = await s.store.lease_jobs(10, timedelta(hours=1))
    assert sorted((job.kind, job.connector) for job in jobs) == [("retire", "c0"), ("share", "c2")]
    [job] = [job for job in jobs if job.kind == "share"]
    assert job.attempt == attempt(5)
    return job


def _offered(generation: int = 1) -> GrantShared:
    account = Account("9130", "Acme")
    return GrantShared(connector=ConnectorId("c2"), attempt=attempt(5), account=account, generation=generation)


async def a_grant_that_is_shared_becomes_the_other_connectors_and_retires_its_former_one(s: Subject) -> None:
    job = await _shared(s)
    assert not await s.copy(replace(job, lease=uuid4()))
    assert await s.copy(job)
    assert not await s.copy(job)
    with pytest.raises(LeasesLost):
        await s.take(_offered(), lease=JobLease(job.id, str(uuid4())))
    await s.take(_offered(), lease=JobLease(job.id, str(job.lease)))
    one = (await s.loaded("c2")).connector
    assert (one.state, one.generation, one.attempt) == (State.SYNCING, 2, None)
    jobs = await s.store.lease_jobs(10, timedelta(hours=1))
    assert [(job.kind, job.connector, job.attempt) for job in jobs] == [("retire", "c2", attempt(2))]


async def a_copy_that_is_not_taken_is_retired_with_its_job(s: Subject) -> None:
    job = await _shared(s)
    assert await s.copy(job)
    await s.take(reauth(6, "c2"))
    await s.take(_offered(), lease=JobLease(job.id, str(job.lease)))
    one = (await s.loaded("c2")).connector
    assert (one.state, one.generation) == (State.AWAITING_AUTH, 1)
    jobs = await s.store.lease_jobs(10, timedelta(hours=1))
    assert [(job.kind, job.connector, job.attempt) for job in jobs] == [("retire", "c2", attempt(5))]


async def a_dead_grant_is_not_copied(s: Subject) -> None:
    job = await _shared(s)
    await s.take(replace(failed("c0"), generation=Generation(2)))
    assert not await s.copy(job)


async def a_disconnect_retires_and_shreds(s: Subject) -> None:
    await _connected(s, 1)
    await s.take(Disconnect(connector=C0))
    assert await _kinds(s) == ["retire", "shred"]


async def _kinds(s: Subject) -> list[str]:
    return sorted(job.kind for job in await s.store.lease_jobs(10, timedelta(hours=1)))


async def who_listens_hears_of_the_shards_that_a_batch_wakes(s: Subject) -> None:
    heard: list[Shard] = []
    told = asyncio.Event()

    def hears(shard: Shard) -> None:
        heard.append(shard)
        told.set()

    listening = asyncio.create_task(s.store.listen(hears))
    try:
        for number in range(200):  # until the connection listens
            await s.take(register(f"c{number * 2}"), wake=(Shard(0),))
            try:
                async with asyncio.timeout(0.2):
                    await told.wait()
                    break
            except TimeoutError:
                continue
        assert set(heard) == {Shard(0)}
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


BEHAVIOURS: tuple[Callable[[Subject], Awaitable[None]], ...] = (
    what_was_stored_is_loaded,
    what_is_absent_is_loaded_as_absent_of_its_ids_shard,
    nothing_named_is_the_time_alone,
    a_batch_on_an_older_revision_is_a_conflict_and_leaves_nothing,
    an_id_that_was_registered_meanwhile_is_a_conflict,
    an_observation_raises_the_revision_alone,
    a_claim_raises_the_epoch_and_keeps_the_offset,
    a_move_of_an_older_epoch_or_from_another_offset_loses_and_leaves_nothing,
    the_log_is_numbered_without_a_gap_in_each_shard,
    an_entry_is_read_as_it_was_handed_to_the_relay,
    dead_letters_stand_in_the_log_behind_the_transitions_of_their_batch,
    the_same_record_is_buried_once,
    the_watermark_moves_for_the_newest_relay_and_only_forward,
    a_batch_takes_the_watermarks_of_its_shards_along,
    an_attempt_is_opened_once,
    how_far_attempts_came_is_told,
    a_deadline_is_due_at_home_at_once_and_elsewhere_when_its_owner_is_late,
    a_job_is_leased_once_and_again_when_its_lease_is_over,
    a_result_counts_while_its_lease_holds,
    a_candidate_is_kept_once_and_only_under_the_lease,
    without_its_candidate_nothing_is_swapped,
    a_job_that_is_wanted_again_gives_its_lease_back,
    an_attempt_that_ends_takes_its_job_along_and_retires_its_grant,
    a_swap_retires_the_former_credential,
    a_disconnect_retires_and_shreds,
    a_grant_that_is_shared_becomes_the_other_connectors_and_retires_its_former_one,
    a_copy_that_is_not_taken_is_retired_with_its_job,
    a_dead_grant_is_not_copied,
    who_listens_hears_of_the_shards_that_a_batch_wakes,
)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_r01_in_memory(behaviour: Callable[[Subject], Awaitable[None]]) -> None:
    await behaviour(in_memory())


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_r01_on_postgresql(behaviour: Callable[[Subject], Awaitable[None]], database: str) -> None:
    async with on_postgres(database) as subject:
        await behaviour(subject)
