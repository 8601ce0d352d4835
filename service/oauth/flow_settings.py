"""What a deployment says about the flow."""

from dataclasses import dataclass
from datetime import timedelta

from service.oauth.limits import FlowLimits


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """Addresses, lifetimes and limits."""

    public_url: str
    handoff_lifetime: timedelta
    return_urls: frozenset[str]
    """The addresses that a browser may be sent to, compared exactly."""
    completion_url: str | None
    """The host's address that gets the completion token of an attempt which its backend completes."""
    always_completed_by_the_host: bool
    """Whether the host's backend completes attempts on pinned connectors, too (S8): stricter, never laxer."""
    limits: FlowLimits
