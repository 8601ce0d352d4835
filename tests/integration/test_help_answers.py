"""The answers of /help: each question that people ask leads to the page that answers it, among the first three."""

from collections.abc import AsyncIterator

import pytest

from service.help.answers import Answers
from service.help.passages import edition
from service.store import passages
from service.store.migrate import migrate
from service.store.pool import Pool, open_pool

QUESTIONS = [
    ("why is my quickbooks connector failing", {"reasons/token_refused", "reauthenticate-quickbooks"}),
    ("how do I reconnect quickbooks", {"reauthenticate-quickbooks"}),
    ("how do I log in again", {"reauthenticate-quickbooks"}),
    ("how do I rotate keys", {"keys"}),
    ("what does 6190 mean", {"reasons/account_inactive"}),
    ("error 3200", {"reasons/token_refused"}),
    ("how long does a handoff live", {"integrate", "settings"}),
    ("my pop-up was blocked", {"reauthenticate-quickbooks"}),
    ("the popup did not open", {"reauthenticate-quickbooks"}),
    ("I signed in to the wrong company", {"reasons/wrong_account", "reauthenticate-quickbooks"}),
    ("what is an organization admin and who is it", {"reauthenticate-quickbooks", "reasons/needs_admin"}),
    ("I am not an administrator", {"reasons/needs_admin", "reauthenticate-quickbooks"}),
    ("what happens to deleted credentials", {"keys"}),
    ("how are tokens encrypted", {"keys"}),
    ("how do I install it on kubernetes", {"install"}),
    ("which kafka topics are there", {"integrate"}),
    (
        "when does a quickbooks sign-in expire",
        {"expiring", "providers", "reasons/expiring", "reauthenticate-quickbooks"},
    ),
    ("set the reminder schedule", {"settings", "integrate"}),
    ("import existing credentials", {"tokens"}),
    ("how do I get an access token for a sync", {"tokens"}),
    ("add more workers", {"grow"}),
    ("how many shards do I need", {"grow"}),
    ("are events published twice", {"reliability"}),
    ("add a new provider", {"add-a-provider"}),
    ("what does verifying mean", {"lifecycle", "glossary"}),
    ("what is a tenant", {"glossary"}),
    ("how fast is it", {"benchmarks"}),
    ("client_rejected", {"reasons/client_rejected"}),
    ("idempotency key was used before", {"problems/idempotency_key_reused"}),
    ("429 too many requests", {"problems/too_many_requests", "integrate"}),
    ("where does the Reconnect URL of the intuit app lead", {"expiring"}),
    ("can an attacker forward a link to somebody else", {"threat-model", "integrate"}),
    ("what is never logged", {"outbound", "threat-model"}),
    ("invalid_grant", {"reasons/grant_revoked"}),
]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database)
    async with pool.acquire() as connection:
        await migrate(connection, shards=2)
    yield pool
    await pool.close()


async def test_each_question_leads_to_its_page_among_the_first_three(pool: Pool) -> None:
    answers = Answers(pool)
    async with pool.acquire() as connection:
        await passages.keep(connection, edition())
    missed = {}
    for question, wanted in QUESTIONS:
        found = list(dict.fromkeys(one.passage.page for one in await answers.to(question)))[:3]
        if not wanted & set(found):
            missed[question] = found
    assert missed == {}
