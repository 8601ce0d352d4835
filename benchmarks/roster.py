"""Who is compared with us, and what each promises: what stands beside its figure."""

from benchmarks.peer import Peer
from benchmarks.peers.outbox import TABLES

OURS = {
    "effects": "stored exactly once: the consumed offset moves in the transaction that it caused",
    "order": "per connector, on any number of workers; a zombie loses at the fence",
    "crash between commit and publish": "published later, from the log; repeats have the same event id",
}

PEERS = (
    Peer(
        key="asyncpg",
        title="asyncpg by hand, four statements",
        module="asyncpg_handler",
        tried=(8, 16, 32),
        rate=2500,
        tables=tuple(TABLES.split(";")[:-1]),
        how="one transaction an event: select for update, update, insert into the log, insert into the outbox",
        guarantees={
            "effects": "at least once, made idempotent by the run's start; no fence, a zombie may still write",
            "order": "per connector, inside one process",
            "crash between commit and publish": "published later, from the outbox",
        },
    ),
    Peer(
        key="",
        title="asyncpg by hand, one statement",
        module="asyncpg_handler",
        tried=(8, 16),
        rate=4000,
        style="one statement",
        tables=tuple(TABLES.split(";")[:-1]),
        how="a read, then one statement that updates by version and inserts both rows",
        guarantees={
            "effects": "at least once, made idempotent by the run's start; the version check stops a zombie",
            "order": "per connector, inside one process",
            "crash between commit and publish": "published later, from the outbox",
        },
    ),
    Peer(
        key="sqlalchemy",
        title="FastStream + SQLAlchemy + AsyncMachine",
        module="faststream_sqlalchemy",
        tried=(1, 4),
        rate=250,
        tables=("create sequence peer_seq",),
        how="FastStream's subscriber with one worker a partition, an ORM session and an AsyncMachine an event,"
        " then `publish`",
        guarantees={
            "effects": "at least once, made idempotent by the run's start",
            "order": "per partition",
            "crash between commit and publish": "the records are lost",
        },
    ),
    Peer(
        key="pgqueuer",
        title="PgQueuer",
        module="pgqueuer_handler",
        tried=(32, 128),
        rate=700,
        tables=tuple(TABLES.split(";")[:-1]),
        how="batches of jobs are enqueued from the topic; an entrypoint handles each in one transaction, keyed locks"
        " keep the order; the outbox publishes",
        guarantees={
            "effects": "at least once; the job's end is another transaction than its effect",
            "order": "per connector only inside one process, and not after a job was picked again",
            "crash between commit and publish": "published later, from the outbox",
        },
    ),
    Peer(
        key="dbos",
        title="DBOS",
        module="dbos_handler",
        tried=(4, 8, 16),
        rate=120,
        tables=("create sequence peer_seq",),
        how="a durable workflow an event, its id made from topic, partition and offset: one transactional step moves"
        " the connector, another publishes",
        guarantees={
            "effects": "exactly once: the step's checkpoint commits with its transaction",
            "order": "per connector inside one process, and not while workflows recover after a crash",
            "crash between commit and publish": "the workflow goes on and publishes",
        },
    ),
)
