"""One sample of every record and body, as JSON: the documents' examples, and what compatibility is held against."""

from typing import Any

from schemas.fleet_samples import FLEET_BODIES

_ATTEMPT = "6f1c2d0e-6f62-4c39-9f0b-0d3c5b1c9f11"
_ACCOUNT = {"id": "9130347798120106", "name": "Acme Inc"}
_EVIDENCE = {"at": "api", "status": 401, "code": "3200", "request_id": "1-6743a1b2-5f2e8f2d0c1a"}
_HANDOFF = {
    "url": "https://regrant.example/connect/h/7Qb3vX2mLr0c9WkT",
    "expires_at": "2026-11-24T09:01:00Z",
}

_STATE = {
    "connector_id": "acme.qbo-1",
    "tenant_id": "acme",
    "provider": "quickbooks-online",
    "name": "Acme's books",
    "state": "failed",
    "version": 2,
    "since": "2026-11-24T08:30:00.123456Z",
    "reason": "token_refused",
    "remedy": "reauthorise",
    "fallback": None,
    "account": _ACCOUNT,
    "generation": 3,
    "attempt_id": None,
    "attempt_reason": None,
    "deadline": "2026-11-25T08:30:00.123456Z",
    "failed_since": "2026-11-24T08:29:58Z",
    "last_success": "2026-11-24T07:30:00Z",
    "expires_at": None,
    "expires_estimated": False,
}

RECORDS: dict[str, dict[str, Any]] = {  # Any: JSON
    "SyncStarted": {"started_at": "2026-11-24T08:29:00Z", "generation": 3},
    "SyncSucceeded": {"started_at": "2026-11-24T08:29:00Z", "generation": 3},
    "SyncFailed": {
        "started_at": "2026-11-24T08:29:00Z",
        "generation": 3,
        "error": {
            "at": "api",
            "status": 401,
            "body": '{"fault":{"error":[{"message":"message=AuthenticationFailed; errorCode=003200; statusCode=401",'
            '"code":"3200"}],"type":"AUTHENTICATION"}}',
            "request_id": "1-6743a1b2-5f2e8f2d0c1a",
        },
        "position": "invoices:2026-11-24T07:30:00Z",
    },
    "Register": {
        "tenant_id": "acme",
        "provider": "quickbooks-online",
        "name": "Acme's books",
        "connected": False,
    },
    "Update": {"name": "Acme's new books"},
    "StartReauth": {"attempt_id": _ATTEMPT},
    "Disconnect": {},
    "Delete": {},
    "Transition": {
        "connector_id": "acme.qbo-1",
        "tenant_id": "acme",
        "provider": "quickbooks-online",
        "version": 2,
        "at": "2026-11-24T08:30:00.123456Z",
        "from": "healthy",
        "to": "failed",
        "trigger": "sync_failed",
        "reason": "token_refused",
        "origin": "owner",
        "remedy": "reauthorise",
        "step": "failure_seen",
        "notice": "person_needed",
        "link": "https://connect.example.com/reconnect/quickbooks-online/acme.qbo-1",
        "actor": {"kind": "sync_engine", "id": "/engine"},
        "attempt_id": None,
        "expected_account": None,
        "seen_account": None,
        "evidence": _EVIDENCE,
        "connector": _STATE,
    },
    "ConnectorState": _STATE,
    "SyncRequest": {
        "connector_id": "acme.qbo-1",
        "tenant_id": "acme",
        "provider": "quickbooks-online",
        "version": 5,
        "generation": 4,
        "since": "2026-11-24T08:29:58Z",
        "position": "invoices:2026-11-24T07:30:00Z",
        "ask": 1,
    },
}
"""The data of each record, by its model's name."""

_CONNECTOR = _STATE | {
    "title": "The sign-in has expired",
    "words": "QuickBooks Online no longer accepts the saved sign-in for Acme Inc.",
    "next": "Sign in to QuickBooks Online again as Organization Admin.",
    "offers_login": True,
    "transient_failures": 0,
    "credential_ends": {
        "at": "2027-03-04T08:00:00Z",
        "estimated": False,
        "idle_at": "2027-03-04T08:00:00Z",
        "hard_at": "2031-11-24T08:00:00Z",
        "hard_estimated": True,
        "announced_at": None,
    },
}
_OPEN_ATTEMPT = {
    "attempt_id": _ATTEMPT,
    "connector_id": "acme.qbo-1",
    "status": "open",
    "step": "link_offered",
    "completion": "browser",
    "opened_at": "2026-11-24T08:31:00Z",
    "expires_at": "2026-11-24T09:01:00Z",
    "reason": None,
    "expected_account": _ACCOUNT,
    "seen_account": None,
    "handoff": _HANDOFF,
}

_FAILURE = {
    "at": "2026-11-24T08:30:00.123456Z",
    "outcome": "transition",
    "trigger": "sync_failed",
    "version": 2,
    "from": "healthy",
    "to": "failed",
    "reason": "token_refused",
    "why": None,
    "step": "failure_seen",
    "actor": {"kind": "sync_engine", "id": "/engine"},
    "attempt_id": None,
    "expected_account": None,
    "seen_account": None,
    "evidence": _EVIDENCE,
}
_PARAGRAPH = (
    "“Acme's books” stands still until somebody signs in to QuickBooks again. On 24 November 2026 at 08:30 UTC the "
    "sync engine reported a failed sync (its API answered HTTP 401, code 3200, request id 1-6743a1b2-5f2e8f2d0c1a): "
    "QuickBooks no longer accepts the saved sign-in for Acme Inc. Nobody has tried to sign in since. It waits for an "
    "Organization Admin of Acme Inc to sign in; a reminder is due on 25 November 2026 at 08:30 UTC."
)
_WHY = {
    "connector_id": "acme.qbo-1",
    "state": "failed",
    "since": "2026-11-24T08:30:00.123456Z",
    "reason": "token_refused",
    "paragraph": _PARAGRAPH,
    "from_the_log": _PARAGRAPH,
    "who_acts": "owner",
    "who": "an Organization Admin of Acme Inc",
    "next": "Let an Organization Admin open a new link and sign in to QuickBooks.",
    "events": [_FAILURE],
}

BODIES: dict[str, dict[str, Any]] = {  # Any: JSON
    "Problem": {
        "type": "https://regrant.example/help/problems/version_mismatch",
        "title": "The connector has changed",
        "status": 412,
        "detail": "The connector is at version 3.",
        "instance": "/v1/connectors/acme.qbo-1",
        "code": "version_mismatch",
        "retryable": False,
        "action": "Read it again, and send its new ETag as If-Match.",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    },
    "RegisterConnector": {"connector_id": "acme.qbo-1", "provider": "quickbooks-online", "name": "Acme's books"},
    "UpdateConnector": {"name": "Acme's new books"},
    "SetContacts": {"contacts": [{"address": "robin@example.com", "language": "de-AT"}]},
    "Contacts": {"contacts": [{"address": "robin@example.com", "language": "de-AT", "refused_at": None}]},
    "Connector": _CONNECTOR,
    "ConnectorList": {"connectors": [_CONNECTOR]},
    "History": {"entries": [_FAILURE]},
    "Why": _WHY,
    "SupportBundle": {
        "format": "regrant.support-bundle.v1",
        "made_at": "2026-11-24T09:12:00Z",
        "regrant_version": "1.0.0",
        "provider": {
            "id": "quickbooks-online",
            "title": "QuickBooks",
            "account_word": "company",
            "admin_word": "Organization Admin",
            "environment": "production",
            "description": "4a3f9c1e7b20",
            "status_page": "https://status.developer.intuit.com",
        },
        "connector": _STATE
        | {
            "transient_failures": 0,
            "unavailable": 0,
            "sync_asks": 0,
            "reminders": 0,
            "swapped_at": "2026-10-01T08:00:00Z",
        },
        "state_sentence": "A person is needed; the reason says why.",
        "why": _WHY,
        "timeline": [
            {
                "attempt_id": None,
                "happenings": [
                    {
                        "at": "2026-11-24T08:30:00.123456Z",
                        "text": "The sync engine reported a failed sync.",
                        "entry": _FAILURE,
                        "correlation_id": None,
                        "causation_id": "e-1",
                    }
                ],
            }
        ],
        "attempts": [
            {
                "attempt_id": _ATTEMPT,
                "opened_at": "2026-10-01T07:55:00Z",
                "opened_by": "the host (backend)",
                "person": "Robin Fields",
                "step": "credential_saved",
                "status": "connected",
                "ended_at": "2026-10-01T08:00:00Z",
                "reason": None,
                "because": None,
                "expected_account": _ACCOUNT,
                "seen_account": None,
                "evidence": None,
            }
        ],
        "credentials": [
            {
                "generation": 3,
                "status": "current",
                "account_id": "9130347798120106",
                "scope": "com.intuit.quickbooks.accounting",
                "rotation": 12,
                "refreshable": True,
                "made_at": "2026-10-01T08:00:00Z",
                "refreshed_at": "2026-11-24T08:00:00Z",
                "access_expires_at": "2026-11-24T09:00:00Z",
                "refresh_expires_at": "2027-03-04T08:00:00Z",
                "refresh_estimated": False,
                "hard_expires_at": "2031-10-01T08:00:00Z",
                "hard_estimated": True,
                "announced_end": None,
                "ends_at": "2027-03-04T08:00:00Z",
                "ends_estimated": False,
                "attempt_id": _ATTEMPT,
            }
        ],
        "request_ids": [
            {
                "at": "2026-11-24T08:30:00.123456Z",
                "request_id": "1-6743a1b2-5f2e8f2d0c1a",
                "status": 401,
                "code": "3200",
            }
        ],
        "correlation_ids": ["0af7651916cd43dd8448eb211c80319c"],
        "settings": {"REGRANT_RULES__ATTEMPT_TIME": "PT30M"},
        "log": [{"transition": RECORDS["Transition"], "sync_request": None, "trace": None}],
        "notes": [],
        "path": ["healthy", "failed"],
        "left_out": False,
    },
    "Person": {"id": "u-17", "name": "Robin Fields"},
    "OpenAttempt": {
        "person": {"id": "u-17", "name": "Robin Fields"},
        "return_url": "https://host.example/connectors",
    },
    "Attempt": _OPEN_ATTEMPT,
    "Handoff": _HANDOFF,
    "CompleteAttempt": {"completion_token": "c_4vZs0kq2Yw7fLx1mT9bN6", "person_id": "u-17"},
    "TokenRequest": {"min_ttl_s": 120, "refused": {"generation": 4, "rotation": 6}},
    "ImportCredential": {
        "refresh_token": "a-refresh-token",
        "access_token": "an-access-token",
        "expires_at": "2026-11-24T09:30:00Z",
        "account_id": "9130347798120106",
        "scope": "com.intuit.quickbooks.accounting openid",
    },
    "AccessToken": {
        "access_token": "an-access-token",
        "token_type": "Bearer",
        "expires_at": "2026-11-24T09:30:00Z",
        "generation": 4,
        "rotation": 7,
        "account": _ACCOUNT,
        "provider": "quickbooks-online",
    },
    "ProviderList": {
        "providers": [
            {
                "id": "quickbooks-online",
                "name": "QuickBooks Online",
                "account_word": "company",
                "admin_word": "administrator",
                "prerequisites": ["You are an administrator of the company."],
            }
        ]
    },
    "ReasonList": {
        "reasons": [
            {
                "code": "token_refused",
                "remedy": "reauthorise",
                "title": "The sign-in has expired",
                "words": "{provider} no longer accepts the saved sign-in for {account}.",
                "next": "Sign in to {provider} again as {admin}.",
                "takes": "About two minutes, with the sign-in to {provider} at hand.",
                "steps": ["Sign in to {provider} again as {admin}."],
            }
        ]
    },
    **FLEET_BODIES,
    "OpenConsole": {"person": {"id": "s-4", "name": "Kim from support"}},
    "ConsoleLink": {
        "url": "https://connect.example/console/open/k3Jx0Qe7vYw2fLs9mT4bN6",
        "expires_at": "2026-11-24T08:33:00Z",
    },
}
"""Each body of the HTTP API, by its model's name."""
