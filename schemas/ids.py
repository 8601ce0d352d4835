"""Identifiers: each is a type of its own, so that one can't stand where another is meant."""

from typing import NewType
from uuid import UUID

ConnectorId = NewType("ConnectorId", str)
"""The host's name for a connector, 1-128 characters of `A-Z a-z 0-9 . _ ~ -`; never used again after a delete."""

TenantId = NewType("TenantId", str)
"""A customer of the host."""

ProviderId = NewType("ProviderId", str)
"""The `id` of a provider's description, for example `quickbooks-online`."""

AttemptId = NewType("AttemptId", UUID)
"""One try of one person to re-authorise one connector; random, so it tells nothing."""

Generation = NewType("Generation", int)
"""The number of a connector's credential: 0 is none, 1 the first, and it never goes back."""

Shard = NewType("Shard", int)
"""A share of the connectors: `murmur2(connector id) mod S`, equal to the Kafka partition of their records."""
