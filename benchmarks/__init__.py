"""The benchmarks: ours and the peers on the same schema, data and machine. They measure from outside.

Nothing of the service imports this. Figures are never tests.
"""
