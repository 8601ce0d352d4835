"""The passages of the documentation, and which of them answer a question best: PostgreSQL's full text search.

Each version of the program brings an edition of its own, named by the hash of its content: replicas of two versions
find each their own, and whichever comes first fills it in.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import timedelta

from service.store.pool import Connection

UNSEEN = timedelta(days=30)
"""After how long an edition that no process brings any more is dropped."""
MARKS = ("\x02", "\x03")
"""What stands around a word of the question in a snippet: no text holds these characters."""

# Whoever inserts the edition's row fills it; anybody else waits for that transaction, and finds the row there.
FILL = """
with new as (
    insert into help_edition (edition) values ($1) on conflict (edition) do nothing returning edition
)
insert into help_passage (edition, number, page, anchor, title, heading, body)
select new.edition, row.number, row.page, row.anchor, row.title, row.heading, row.body
from new, unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    with ordinality as row (page, anchor, title, heading, body, number)
"""
SEEN = "update help_edition set seen_at = now() where edition = $1"
DROP = "delete from help_edition where seen_at < now() - $1::interval"

# $2 to $4: the words of the question by their place in it, each beside what means the same, which weighs less. A
# passage is worth the more, the more places it has a word for and the rarer these are; and more still where it has all
# that was asked. Index help_passage_words.
ASK = """
with asked as (
    select place, phraseto_tsquery('english', word) as query, weight
    from unnest($2::int[], $3::text[], $4::float[]) as asked (place, word, weight)
), hit as (
    select asked.place, passage.number as passage,
        max(asked.weight * (0.05 + ts_rank('{0.1, 0.3, 0.7, 1}', passage.words, asked.query, 1))) as rank
    from asked join help_passage passage on passage.edition = $1 and passage.words @@ asked.query
    group by asked.place, passage.number
), worth as (
    select place, ln(1 + (select count(*) from help_passage where edition = $1)::float / count(*)) as worth
    from hit group by place
), ranked as (
    select hit.passage, sum(worth.worth * hit.rank) as rank from hit join worth using (place) group by hit.passage
)
select page, anchor, title, heading, body, ts_headline(
    'english', body, websearch_to_tsquery('english', array_to_string($3::text[], ' or ')),
    format('StartSel=%s, StopSel=%s, MaxWords=40, MinWords=20, MaxFragments=2, FragmentDelimiter=" … "',
        $6::text, $7::text)
) as snippet, ranked.rank * case when words @@ websearch_to_tsquery('english', $5) then 1.5 else 1 end as rank
from ranked join help_passage on edition = $1 and number = passage
order by rank desc, number limit $8
"""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a page, as text."""

    page: str
    anchor: str
    title: str
    heading: str
    body: str


@dataclass(frozen=True, slots=True)
class Edition:
    """All passages of a version."""

    hash: bytes
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that answers a question, the words of it marked in the snippet."""

    passage: Passage
    snippet: str
    rank: float


async def keep(connection: Connection, edition: Edition) -> None:
    """Fills this version's edition in where it isn't there, and drops those that nobody has brought for long."""
    await connection.execute(FILL, edition.hash, *map(list, zip(*map(astuple, edition.passages), strict=True)))
    await connection.execute(SEEN, edition.hash)
    await connection.execute(DROP, UNSEEN)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question, or what means the same as one."""

    place: int
    """Which word of the question; those that mean the same share it."""
    word: str
    weight: float


async def ask(connection: Connection, edition: bytes, words: Sequence[Word], question: str, limit: int) -> list[Found]:
    """The best passages, best first. `question` as it was asked, with its quotation marks and its `-`."""
    columns = map(list, zip(*map(astuple, words), strict=True))
    rows = await connection.fetch(ASK, edition, *columns, question, *MARKS, limit)
    return [
        Found(
            Passage(row["page"], row["anchor"], row["title"], row["heading"], row["body"]), row["snippet"], row["rank"]
        )
        for row in rows
    ]
