"""Where the simulator's three hosts are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base addresses of the three hosts, without a slash at the end."""

    accounts: str
    oauth: str
    api: str

    @property
    def issuer(self) -> str:
        """Intuit's."""
        return f"{self.accounts}/op/v1"
