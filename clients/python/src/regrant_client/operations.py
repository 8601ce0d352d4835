"""Every operation of the API: its method, its path, and the scope that a token needs for it."""

# Made by from_documents.py: don't edit.
from typing import Final, NamedTuple


class Operation(NamedTuple):
    """How one is called."""

    method: str
    path: str
    scope: str


OPERATIONS: Final[dict[str, Operation]] = {
    "list_connectors": Operation("GET", "/v1/connectors", "connectors:read"),
    "register_connector": Operation("POST", "/v1/connectors", "connectors:write"),
    "get_connector": Operation("GET", "/v1/connectors/{connector_id}", "connectors:read"),
    "update_connector": Operation("PATCH", "/v1/connectors/{connector_id}", "connectors:write"),
    "delete_connector": Operation("DELETE", "/v1/connectors/{connector_id}", "connectors:write"),
    "disconnect_connector": Operation("POST", "/v1/connectors/{connector_id}/disconnect", "connectors:write"),
    "get_contacts": Operation("GET", "/v1/connectors/{connector_id}/contacts", "connectors:read"),
    "set_contacts": Operation("PUT", "/v1/connectors/{connector_id}/contacts", "connectors:write"),
    "verify_connector": Operation("POST", "/v1/connectors/{connector_id}/verify", "connectors:write"),
    "get_history": Operation("GET", "/v1/connectors/{connector_id}/history", "connectors:read"),
    "get_why": Operation("GET", "/v1/connectors/{connector_id}/why", "connectors:read"),
    "get_bundle": Operation("GET", "/v1/connectors/{connector_id}/bundle", "connectors:read"),
    "open_attempt": Operation("POST", "/v1/connectors/{connector_id}/attempts", "attempts:write"),
    "get_attempt": Operation("GET", "/v1/attempts/{attempt_id}", "connectors:read"),
    "create_handoff": Operation("POST", "/v1/attempts/{attempt_id}/handoffs", "attempts:write"),
    "complete_attempt": Operation("POST", "/v1/attempts/{attempt_id}/complete", "attempts:write"),
    "cancel_attempt": Operation("POST", "/v1/attempts/{attempt_id}/cancel", "attempts:write"),
    "get_token": Operation("POST", "/v1/connectors/{connector_id}/token", "tokens:read"),
    "import_credential": Operation("POST", "/v1/connectors/{connector_id}/credential", "credentials:write"),
    "list_providers": Operation("GET", "/v1/providers", "connectors:read"),
    "list_reasons": Operation("GET", "/v1/reasons", "connectors:read"),
    "get_fleet": Operation("GET", "/v1/fleet", "fleet:read"),
    "get_funnel": Operation("GET", "/v1/fleet/funnel", "fleet:read"),
    "list_fleet_connectors": Operation("GET", "/v1/fleet/connectors", "fleet:read"),
    "get_times": Operation("GET", "/v1/fleet/times", "fleet:read"),
    "get_errors": Operation("GET", "/v1/fleet/errors", "fleet:read"),
    "list_expiring": Operation("GET", "/v1/fleet/expiring", "fleet:read"),
    "list_letters": Operation("GET", "/v1/dead-letters", "fleet:read"),
    "get_letter": Operation("GET", "/v1/dead-letters/{letter_id}", "fleet:read"),
    "replay_letter": Operation("POST", "/v1/dead-letters/{letter_id}/replay", "fleet:write"),
    "drop_letter": Operation("POST", "/v1/dead-letters/{letter_id}/drop", "fleet:write"),
    "list_webhooks": Operation("GET", "/v1/webhooks", "fleet:read"),
    "send_given_up": Operation("POST", "/v1/webhooks/{endpoint}/given-up/{given_up_id}/send", "fleet:write"),
    "follow_events": Operation("GET", "/v1/events", "fleet:read"),
    "open_console": Operation("POST", "/v1/console/links", "console:open"),
}
