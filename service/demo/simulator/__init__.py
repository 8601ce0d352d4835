"""The provider simulator: plays Intuit QuickBooks Online by heart, or any provider from its description, on 3 hosts.

It is the outside world, and knows nothing of regrant but what a provider's description says; `/_sim` on its accounts
host steers it (unauthenticated: for loopback and closed test networks only).
"""

from service.demo.simulator.addresses import Addresses
from service.demo.simulator.server import Simulator

__all__ = ["Addresses", "Simulator"]
