"""One sample of every body of `schemas/fleet.py`, as JSON."""

from typing import Any

_SPAN = {"mean_s": 5400.0, "median_s": 1260.5}

_LETTER = {
    "letter_id": "3-1204",
    "at": "2026-11-24T08:30:00Z",
    "topic": "connectors.sync.events.v1",
    "partition": 3,
    "offset": 88120,
    "connector_id": "acme.qbo-1",
    "type": "sync.failed.v1",
    "code": "schema",
    "detail": "started_at: datetime_from_date_parsing",
    "status": "waiting",
    "decided_by": None,
    "decided_at": None,
    "replay_of": None,
}

_GIVEN_UP = {
    "given_up_id": "12-acme.qbo-1",
    "endpoint": "host",
    "tenant_id": "acme",
    "connector_id": "acme.qbo-1",
    "version": 12,
    "at": "2026-11-23T08:00:00Z",
    "since": "2026-11-20T03:10:00Z",
    "tries": 15,
    "failure": "status 422",
    "asked_at": None,
}

FLEET_BODIES: dict[str, dict[str, Any]] = {  # Any: JSON
    "Fleet": {
        "sentence": "182 of 100,000 connectors need somebody: 180 an administrator of the customer, 2 you; "
        "30 go on by themselves.",
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
    "Times": {
        "since": "2026-10-25T08:30:00Z",
        "until": "2026-11-24T08:30:00Z",
        "providers": [
            {
                "provider": None,
                "connected": 5300,
                "whole": _SPAN,
                "owner": _SPAN,
                "regrant": {"mean_s": 0.04, "median_s": 0.02},
                "provider_took": {"mean_s": 1.4, "median_s": 0.9},
                "host": {"mean_s": 80.0, "median_s": 41.0},
                "without_support": 4982,
                "share_without_support": 0.94,
            }
        ],
        "counted": True,
    },
    "Errors": {
        "since": "2026-11-23T08:30:00Z",
        "until": "2026-11-24T08:30:00Z",
        "errors": [
            {
                "provider": "quickbooks-online",
                "at": "api",
                "status": 401,
                "code": "3200",
                "reason": "token_refused",
                "count": 171,
                "first_at": "2026-11-23T09:10:00Z",
                "last_at": "2026-11-24T08:29:58Z",
                "request_id": "1-6743a1b2-5f2e8f2d0c1a",
            }
        ],
        "counted": True,
    },
    "Expiring": {
        "connectors": [
            {
                "tenant_id": "acme",
                "connector_id": "acme.qbo-1",
                "provider": "quickbooks-online",
                "state": "healthy",
                "ends_at": "2026-12-01T08:00:00Z",
                "estimated": False,
                "warned_at": "2026-11-24T08:00:00Z",
            }
        ],
        "more": False,
    },
    "Letters": {"letters": [_LETTER]},
    "LetterExplained": _LETTER
    | {
        "fields": ["started_at"],
        "words": "A field is missing or wrong; the detail names it. Started_at: datetime_from_date_parsing.",
        "next": "Send a corrected record, and drop this one.",
        "replay_helps": False,
    },
    "Webhooks": {
        "endpoints": [
            {
                "name": "host",
                "host": "app.example.com",
                "status": "behind",
                "to_read": 0,
                "waiting": 1,
                "waiting_since": "2026-11-24T08:00:00Z",
                "accepted_at": "2026-11-24T08:29:58Z",
                "failing_since": None,
                "failure": "status 500",
                "given_up": 1,
            }
        ],
        "given_up": [
            _GIVEN_UP,
        ],
    },
    "GivenUp": _GIVEN_UP,
}
"""Each body, by its model's name."""
