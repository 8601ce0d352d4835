"""What goes wrong between a host and regrant, told apart by what the caller should do.

RegrantError
├── Problem          regrant said no, and why (RFC 9457); `regrant_client.refusals` has a class for each kind
├── Unreachable      no answer came, however often it was tried
└── Unreadable       an answer or a record isn't as the contract says
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


class RegrantError(Exception):
    """Something between this host and regrant went wrong."""


class Unreachable(RegrantError):
    """No answer came, however often it was tried. Whether the last try was carried out isn't known."""


class Unreadable(RegrantError):
    """What came isn't as the contract says. Its text names a place, and nothing of what stood there."""


class Problem(RegrantError):
    """regrant said no, and why (RFC 9457)."""

    def __init__(self, told: Mapping[str, Any], *, retry_after: timedelta | None = None) -> None:  # Any: JSON
        self.code = str(told.get("code", "unknown"))
        """The kind of problem, for programs. The class is of the same name."""
        self.status = int(told.get("status", 0))
        """The HTTP status."""
        self.title = str(told.get("title", ""))
        self.detail = str(told.get("detail", ""))
        self.action = str(told.get("action", ""))
        """What the caller should do."""
        self.retryable = told.get("retryable") is True
        """Whether the very same request may succeed later."""
        self.retry_after = retry_after
        """How long to wait before that, where regrant said it."""
        self.trace_id = str(told.get("trace_id", ""))
        """What to name when somebody is asked about it."""
        self.type = str(told.get("type", ""))
        """The address of a page about this kind of problem."""
        self.errors: list[dict[str, str]] = list(told.get("errors", ()))
        """Which fields are wrong, where some are."""
        super().__init__(f"{self.status} {self.code}: {self.detail} (trace {self.trace_id})")
