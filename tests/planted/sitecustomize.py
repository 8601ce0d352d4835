"""Read by every Python that the tests start, since this folder is on its path: its secrets carry the marker, too."""

from marking import plant

plant()
