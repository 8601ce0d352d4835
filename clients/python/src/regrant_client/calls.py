"""What every chapter of the API builds on: a call becomes a request, an answer becomes its model."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from regrant_client.operations import OPERATIONS
from regrant_client.problem import Unreadable
from regrant_client.sending import Answer, Request, Sender

Model = TypeVar("Model", bound=BaseModel)
Given = str | int | datetime | UUID | None
"""A value of a path or a query; `None` isn't sent."""


class Calls:
    """One tenant's view of one deployment."""

    def __init__(self, sender: Sender, tenant: str) -> None:
        self._sender = sender
        self.tenant = tenant
        """Whom the calls are about; `*` speaks for the whole fleet."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sender.url!r}, tenant={self.tenant!r})"

    def _request(
        self,
        operation: str,
        path: Mapping[str, Given] | None = None,
        query: Mapping[str, Given] | None = None,
        body: BaseModel | None = None,
        if_version: int | None = None,
        accept: str = "application/json",
    ) -> Request:
        return Request(OPERATIONS[operation], _texts(path), _texts(query), body, if_version, accept)

    async def _call(self, answer: type[Model], request: Request, idempotency_key: str | None = None) -> Model:
        return parsed(answer, await self._sender.send(request, self.tenant, idempotency_key))

    async def _pages(
        self, answer: type[Model], operation: str, path: Mapping[str, Given] | None, query: Mapping[str, Given]
    ) -> AsyncIterator[Model]:
        """Page after page, each asked for when the one before is used up."""
        cursor: str | None = None
        while True:
            request = self._request(operation, path, {**query, "cursor": cursor})
            told = await self._sender.send(request, self.tenant)
            yield parsed(answer, told)
            cursor = told.next_cursor
            if cursor is None:
                return


def parsed(model: type[Model], answer: Answer) -> Model:
    """The answer's body. Raises `Unreadable`, which says nothing of what came."""
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        where = sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)})
        raise Unreadable(f"the answer is no {model.__name__}: {', '.join(where)}") from None


def _texts(given: Mapping[str, Given] | None) -> dict[str, str]:
    return {name: _text(value) for name, value in (given or {}).items() if value is not None}


def _text(value: str | int | datetime | UUID) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs its offset")
        return value.isoformat()
    return str(value)
