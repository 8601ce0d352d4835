"""Intuit's refusals, word for word: faults of the API in both casings, errors of the token endpoint.

Sources: Intuit's pages "Error codes" and "OAuth errors", and bodies quoted in issues of its own clients
(oauth-jsclient#2, oauth-rubyclient#14, QuickBooks-V3-PHP-SDK#211 and #257, python-quickbooks#250 and #369).
The *gateway* in front of QuickBooks answers with a long envelope and a small "fault"; the *service* behind it
writes "Fault". Without `Accept: application/json` both speak XML.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

XMLNS = "http://schema.intuit.com/finance/v3"


class Origin(StrEnum):
    """Who in Intuit's house wrote a fault: it decides the casing."""

    GATEWAY = "gateway"
    SERVICE = "service"


class ApiFault(Exception):
    """A request to the API was refused with one of Intuit's faults."""

    def __init__(
        self,
        *,
        http_status: int,
        code: str,
        message: str,
        detail: str | None = None,
        fault_type: str,
        origin: Origin,
    ) -> None:
        super().__init__(f"{http_status} {code}")
        self.http_status = http_status
        self.code = code
        self.message = message
        self.detail = detail
        self.fault_type = fault_type
        self.origin = origin

    @property
    def headers(self) -> dict[str, str]:
        """The challenge of RFC 6750 that comes with a refused token."""
        if self.code != "3200":
            return {}
        return {"www-authenticate": 'Bearer realm="Intuit", error="invalid_token"'}

    def as_json(self, now: datetime) -> str:
        if self.origin is Origin.SERVICE:
            error = {"Message": self.message, "Detail": self.detail or "", "code": self.code, "element": ""}
            return json.dumps(
                {"Fault": {"Error": [error], "type": self.fault_type}, "time": now.isoformat("T", "milliseconds")}
            )
        gateway_error = {"message": self.message, "detail": self.detail, "code": self.code, "element": None}
        return json.dumps(
            {
                "warnings": None,
                "intuitObject": None,
                "fault": {"error": [gateway_error], "type": self.fault_type},
                "report": None,
                "queryResponse": None,
                "batchItemResponse": [],
                "attachableResponse": [],
                "syncErrorResponse": None,
                "requestId": None,
                "time": int(now.timestamp() * 1000),
                "status": None,
                "cdcresponse": [],
            }
        )

    def as_xml(self, now: datetime) -> str:
        detail = f"<Detail>{escape(self.detail)}</Detail>" if self.detail else ""
        return xml_response(
            f"<Fault type={quoteattr(self.fault_type)}><Error code={quoteattr(self.code)}>"
            f"<Message>{escape(self.message)}</Message>{detail}</Error></Fault>",
            now,
        )


def xml_response(inner: str, now: datetime) -> str:
    """`inner` in the envelope of every XML answer of the API."""
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        f'<IntuitResponse xmlns="{XMLNS}" time="{now.isoformat("T", "milliseconds")}">{inner}</IntuitResponse>'
    )


def token_expired(token: str) -> ApiFault:
    """3200 as Intuit says it: with a part of the token in its text, which clients must not log."""
    return _authentication_failed(f"Token expired: {token[:24]}")


def token_malformed() -> ApiFault:
    return _authentication_failed("Malformed bearer token: too short or too long")


def _authentication_failed(detail: str) -> ApiFault:
    return ApiFault(
        http_status=401,
        code="3200",
        message="message=AuthenticationFailed; errorCode=003200; statusCode=401",
        detail=detail,
        fault_type="AUTHENTICATION",
        origin=Origin.GATEWAY,
    )


def not_authorised_for_company() -> ApiFault:
    """3100: the grant was revoked for this company, or the token is another company's."""
    return ApiFault(
        http_status=403,
        code="3100",
        message="message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403",
        fault_type="SERVICE",
        origin=Origin.GATEWAY,
    )


def scope_missing() -> ApiFault:
    """3100 with its other text (QBOConceptsTutorial-PHP#13)."""
    return ApiFault(
        http_status=403,
        code="3100",
        message="message=AuthorizationFailed; errorCode=003100; statusCode=403",
        detail="The access token does not have sufficient scope",
        fault_type="SERVICE",
        origin=Origin.GATEWAY,
    )


def user_not_authorised() -> ApiFault:
    return ApiFault(
        http_status=403,
        code="3201",
        message="message=AuthorizationFailure; errorCode=003201; statusCode=403",
        fault_type="SERVICE",
        origin=Origin.GATEWAY,
    )


def throttled() -> ApiFault:
    return ApiFault(
        http_status=429,
        code="3001",
        message="message=ThrottleExceeded; errorCode=003001; statusCode=429",
        fault_type="SERVICE",
        origin=Origin.GATEWAY,
    )


def granting_user_lost_access() -> ApiFault:
    """120: the person who granted isn't an administrator any more, or was deleted."""
    return ApiFault(
        http_status=401,
        code="120",
        message="Authorization Failure",
        detail="AuthorizationFailure: You do not have access to use QuickBooks Online Plus, statusCode: 401",
        fault_type="AuthorizationFault",
        origin=Origin.SERVICE,
    )


def subscription_ended() -> ApiFault:
    """6190. A new grant doesn't help."""
    return ApiFault(
        http_status=400,
        code="6190",
        message="Invalid Company Status",
        detail=(
            "Subscription period has ended or canceled or there was a billing problem : You can't add data to "
            "QuickBooks Online Plus because your trial or subscription period ended, you canceled your "
            "subscription, or there was a billing problem."
        ),
        fault_type="ValidationFault",
        origin=Origin.SERVICE,
    )


def query_not_understood(query: str) -> ApiFault:
    return ApiFault(
        http_status=400,
        code="4000",
        message="Error parsing query",
        detail=f"QueryParserError: {query[:80]}",
        fault_type="ValidationFault",
        origin=Origin.SERVICE,
    )


def system_failure(http_status: int) -> ApiFault:
    return ApiFault(
        http_status=http_status,
        code="10000",
        message="An application error has occurred while processing your request",
        detail="System Failure Error",
        fault_type="SystemFault",
        origin=Origin.SERVICE,
    )


class TokenError(StrEnum):
    """The `error` of RFC 6749 5.2, the only part of such an answer that a client may judge by."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"


class TokenRefused(Exception):
    """The token endpoint refused. 400, but 401 for a client that failed to authenticate, as Intuit does."""

    def __init__(self, error: TokenError, description: str | None = None) -> None:
        super().__init__(error.value)
        self.error = error
        self.description = description

    @property
    def http_status(self) -> int:
        return 401 if self.error is TokenError.INVALID_CLIENT else 400

    def as_json(self) -> dict[str, str]:
        if self.description is None:
            return {"error": self.error.value}
        return {"error_description": self.description, "error": self.error.value}
