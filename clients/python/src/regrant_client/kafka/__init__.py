"""regrant's Kafka topics, with aiokafka: follow what it says without repeats, and tell it what a sync engine sees.

Needs the extra `kafka`.
"""

from regrant_client.kafka.deliveries import Delivery, Gap
from regrant_client.kafka.follow import States, SyncRequests, Transitions
from regrant_client.kafka.tell import Commands, SyncEvents

__all__ = ["Commands", "Delivery", "Gap", "States", "SyncEvents", "SyncRequests", "Transitions"]
