"""The lifecycle of a connector: one table, and `decide(connector, input, now)` that reads it.

Pure: it does no I/O, reads no clock, draws no random number, and imports nothing of ours but `schemas`' plain types.
"""

from statemachine.connector import Account, Connector, Rules
from statemachine.decide import Decision, decide
from statemachine.inputs import Input

__all__ = ["Account", "Connector", "Decision", "Input", "Rules", "decide"]
