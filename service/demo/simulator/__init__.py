"""The provider simulator: plays Intuit QuickBooks Online on three hosts. It is the outside world.

It knows nothing of regrant and imports nothing of it; `/_sim` on its accounts host steers it (unauthenticated:
for loopback and closed test networks only).
"""

from service.demo.simulator.server import Simulator
from service.demo.simulator.state import Addresses

__all__ = ["Addresses", "Simulator"]
