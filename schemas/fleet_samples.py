"""One sample of every body of `schemas/fleet.py`, as JSON."""

from typing import Any

_SPAN = {"mean_s": 5400.0, "median_s": 1260.5}

FLEET_BODIES: dict[str, dict[str, Any]] = {  # Any: JSON
    "Fleet": {
        "sentence": "212 of 100,000 connectors need somebody: 180 an administrator of the customer, "
        "30 nobody but time, 2 you.",
        "as_of": "2026-11-24T08:30:00Z",
        "connectors": 100_000,
        "acting": [{"who_acts": "owner", "count": 180}, {"who_acts": "operator", "count": 2}],
        "states": [{"provider": "quickbooks-online", "state": "healthy", "count": 99_788}],
        "reasons": [
            {
                "provider": "quickbooks-online",
                "reason": "token_refused",
                "origin": "owner",
                "remedy": "reauthorise",
                "who_acts": "owner",
                "count": 171,
            }
        ],
        "arrows": [{"from": "healthy", "to": "failed", "last_hour": 12, "last_day": 240, "per_minute": 0.2}],
        "counted": True,
    },
    "Funnel": {
        "since": "2026-10-25T08:30:00Z",
        "until": "2026-11-24T08:30:00Z",
        "attempts": 6200,
        "troubles": 5400,
        "steps": [
            {
                "step": "link_offered",
                "reached": 6200,
                "stopped": 310,
                "replaced": 120,
                "under_way": 14,
                "drops": [{"provider": "quickbooks-online", "reason": "attempt_expired", "count": 300}],
            }
        ],
        "providers": [
            {
                "provider": "quickbooks-online",
                "attempts": 6200,
                "connected": 5300,
                "stopped": 700,
                "replaced": 180,
                "under_way": 20,
            }
        ],
        "counted": True,
    },
}
"""Each body, by its model's name."""
