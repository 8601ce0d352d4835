"""Whether attempts or their connectors were written since: asked at once for all windows that a process follows."""

from collections.abc import Collection, Mapping

from schemas.ids import AttemptId
from service.store.pool import Connection

# `xmin` names the transaction that wrote a row last, so a mark differs after any write, whoever made it, and nobody who
# writes has to think of it. Two look-ups by primary key an attempt.
MARKS = """
select a.attempt_id, a.xmin::text || '.' || c.xmin::text as mark
from attempt a join connector c on c.id = a.connector
where a.attempt_id = any($1::uuid[])
"""


async def marks(connection: Connection, attempts: Collection[AttemptId]) -> Mapping[AttemptId, str]:
    """A mark for each attempt that there is."""
    return {AttemptId(row["attempt_id"]): row["mark"] for row in await connection.fetch(MARKS, list(attempts))}
