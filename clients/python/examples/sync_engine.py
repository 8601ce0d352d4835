"""A sync engine: obeys regrant's requests with the access token that it gives, and says how each run went.

    pip install "regrant-client[kafka]"
    CONNECT_URL=https://connect.example.com SIGNING_KEY_FILE=jwt.key KAFKA=localhost:9092 python sync_engine.py

On a schedule of its own it does the same: ask for a token, call the provider, say how it went.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from regrant_client import Regrant, Signer
from regrant_client.kafka import SyncEvents, SyncRequests
from regrant_client.records import ProviderError, SyncRequest
from regrant_client.refusals import NoCredential, ProviderUnavailable
from regrant_client.words import Reason

KAFKA, TOPIC_PREFIX = os.environ["KAFKA"], os.environ.get("TOPIC_PREFIX", "")
QUICKBOOKS = os.environ.get("QUICKBOOKS_URL", "https://quickbooks.api.intuit.com")
SIGNER = Signer.with_secret(Path(os.environ["SIGNING_KEY_FILE"]).read_bytes(), issuer="https://host.example")


async def run(request: SyncRequest, regrant: Regrant, events: SyncEvents, session: aiohttp.ClientSession) -> None:
    """One run. What it says carries the token's generation, so that regrant knows which sign-in it speaks of."""
    id_, started_at = request.connector_id, datetime.now(UTC)
    try:
        token = await regrant.for_tenant(request.tenant_id).get_token(id_, min_ttl_s=300)
    except NoCredential:
        return  # a person has to sign in: the next request comes when that is done
    except ProviderUnavailable:
        await events.failed(id_, started_at=started_at, reason=Reason.PROVIDER_UNAVAILABLE)
        return
    await events.started(id_, started_at=started_at, generation=token.generation)
    address = f"{QUICKBOOKS}/v3/company/{token.account.id}/query?query=select%20*%20from%20Invoice"
    headers = {"Authorization": f"Bearer {token.access_token}", "Accept": "application/json"}
    async with session.get(address, headers=headers) as answer:
        if answer.status == 200:
            await events.succeeded(id_, started_at=started_at, generation=token.generation)
        else:  # as it came: regrant judges it, and keeps no body
            body, request_id = (await answer.text())[:65_536], answer.headers.get("intuit_tid")
            error = ProviderError(at="api", status=answer.status, body=body, request_id=request_id)
            await events.failed(id_, started_at=started_at, generation=token.generation, error=error)
        print(f"{id_}: {answer.status}", flush=True)


async def main() -> None:
    async with (
        Regrant(os.environ["CONNECT_URL"], SIGNER, "*") as regrant,
        SyncEvents(KAFKA, source="/drivewell/sync-engine", topic_prefix=TOPIC_PREFIX) as events,
        SyncRequests(KAFKA, f"{TOPIC_PREFIX}sync-engine", topic_prefix=TOPIC_PREFIX) as requests,
        aiohttp.ClientSession() as session,
    ):
        async for asked in requests:
            await run(asked.data, regrant, events, session)


if __name__ == "__main__":
    asyncio.run(main())
