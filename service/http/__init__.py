"""The host's API: who calls, routes, problems, probes. A handler parses, submits, answers.

Must not know Kafka, pages, or SQL that isn't named in the store.
"""

from service.http.api import build_api

__all__ = ["build_api"]
