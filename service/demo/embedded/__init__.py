"""Real Apache Kafka and real PostgreSQL as child processes, from Python packages alone. Used by the demo and the tests.

Must not know regrant.
"""

from service.demo.embedded.child import Progress, Supervisor
from service.demo.embedded.kafka import EmbeddedKafka
from service.demo.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "Progress", "Supervisor"]
