"""regrant for hosts: its API (`Regrant`), the tokens for it (`Signer`), and in `regrant_client.kafka` its topics.

It knows regrant by its published documents alone.
"""

from regrant_client.client import WHOLE_FLEET, Regrant
from regrant_client.following import Event
from regrant_client.problem import Problem, RegrantError, Unreachable, Unreadable
from regrant_client.signing import Signer

__all__ = ["WHOLE_FLEET", "Event", "Problem", "Regrant", "RegrantError", "Signer", "Unreachable", "Unreadable"]
__version__ = "0.1.0"
