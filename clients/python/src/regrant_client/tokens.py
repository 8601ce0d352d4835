"""Access tokens for the sync engine, and grants that the host has already."""

from datetime import datetime

from regrant_client import bodies
from regrant_client.calls import Calls


class Tokens(Calls):
    """Calls about tokens."""

    async def get_token(
        self,
        connector_id: str,
        *,
        min_ttl_s: int = 60,
        refused: bodies.AccessToken | None = None,
        idempotency_key: str | None = None,
    ) -> bodies.AccessToken:
        """An access token that is good for `min_ttl_s` at least.

        `refused` is one that the provider's API didn't take (401). Raises `NoCredential` when a person has to sign in.
        """
        old = bodies.RefusedToken(generation=refused.generation, rotation=refused.rotation) if refused else None
        body = bodies.TokenRequest(min_ttl_s=min_ttl_s, refused=old)
        request = self._request("get_token", {"connector_id": connector_id}, body=body)
        return await self._call(bodies.AccessToken, request, idempotency_key)

    async def import_credential(
        self,
        connector_id: str,
        *,
        refresh_token: str,
        access_token: str | None = None,
        expires_at: datetime | None = None,
        account_id: str | None = None,
        scope: str | None = None,
        idempotency_key: str | None = None,
    ) -> bodies.Attempt:
        """Hands a grant over, which only regrant refreshes from now on; the attempt tells how its checks end."""
        body = bodies.ImportCredential(
            refresh_token=refresh_token,
            access_token=access_token,
            expires_at=expires_at,
            account_id=account_id,
            scope=scope,
        )
        request = self._request("import_credential", {"connector_id": connector_id}, body=body)
        return await self._call(bodies.Attempt, request, idempotency_key)
