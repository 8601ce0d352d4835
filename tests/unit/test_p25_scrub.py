"""What leaves for support: two hundred secrets of every shape are masked, and what support needs stays readable."""

import pytest

from service.insight.scrub import is_an_id, scrubbed, scrubbed_text
from tests.secret_shapes import SECRETS, SHAPES, parts_of


@pytest.mark.parametrize("shape", SHAPES)
def test_p25_a_secret_in_a_name_is_masked_whatever_its_shape(shape: str) -> None:
    for _, secret in (found for found in SECRETS if found[0] == shape):
        for text in (
            secret,
            f"Books {secret}",
            f"“{secret}”",
            f"token={secret}",
            f"https://a.example/{secret}?x",
            f"({secret})",
        ):
            told = scrubbed_text(text)
            assert not any(part in told for part in parts_of(secret)), text


def test_p25_two_hundred_secrets_anywhere_in_a_document_are_masked() -> None:
    assert len(SECRETS) == 200
    document = {"names": [{"name": secret, "at": 1} for _, secret in SECRETS], "text": " ".join(s for _, s in SECRETS)}
    told = str(scrubbed(document))
    assert [s for _, s in SECRETS if any(part in told for part in parts_of(s))] == []


@pytest.mark.parametrize(
    "text",
    [
        "Acme's books",
        "QuickBooks-2024-Production",
        "acme.qbo-1",
        "connector_for_northwind_traders_europe",
        "2026-11-24T08:30:00.123456+00:00",
        "invoices:2026-11-24T07:30:00Z",
        "com.intuit.quickbooks.accounting openid profile email",
        "https://quickbooks.api.intuit.com/v3/company/9130357766590001/companyinfo",
        "its API answered HTTP 401, code 3200, request id 1-tid",
        "On 24 December 2026 at 08:36 UTC the sync engine reported a failed sync",
        "REGRANT_RULES__EXPIRY_WARNINGS P30D,P14D,P7D,P1D",
        "regrant.support-bundle.v1",
        "verification_timed_out",
    ],
)
def test_p25_what_support_reads_stays(text: str) -> None:
    assert scrubbed_text(text) == text


def test_p25_an_id_that_is_named_stays_whole() -> None:
    trace, tid = "0af7651916cd43dd8448eb211c80319c", "1-6743a1b2-5f2e8f2d0c1a9b8c7d6e5f40"
    assert scrubbed(["see " + trace, tid], {trace, tid}) == ["see " + trace, tid]
    assert is_an_id(trace) and is_an_id(tid) and is_an_id("req_4f0Z9a")
    assert not any(is_an_id(secret) for shape, secret in SECRETS if shape != "half a key in hexadecimal")
