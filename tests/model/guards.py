"""What the protocol rests on. Each can be left out, to see that the checker then finds what goes wrong."""

from typing import NamedTuple


class Guards(NamedTuple):
    """All of them hold in the service."""

    fence: bool = True
    """A batch moves the consumed offset only from where it stands, and only for the partition's newest owner."""
    offset_with_effects: bool = True
    """The offset is moved in the transaction that stores what its inputs did."""
    revision: bool = True
    """A connector is written only as it was read."""
    unique_attempts: bool = True
    """An attempt is opened once: an input whose first try was stored unheard can't open it again."""
    seq_under_lock: bool = True
    """The log's numbers are taken under the shard's lock, which is held until the commit: their order is the order of
    the commits."""
    producer_fence: bool = True
    """Who takes a shard's relay over makes the broker refuse what the former relay still sends."""
    publish_first: bool = True
    """The watermark follows what was published."""
    contiguous: bool = True
    """The relay publishes from memory only what follows on its position; else it reads the log."""
    instant: bool = True
    """A deadline's input counts only for the instant that it was set for."""
    separate_readings: bool = True
    """A chunk that was read again under a new epoch never shares a batch with its former reading."""
    reread: bool = True
    """A worker that lost a chunk at the fence claims its partition anew and reads from the stored offset."""
