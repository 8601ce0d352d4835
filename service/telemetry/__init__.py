"""What the service tells of itself: logs, metrics, traces. Knows nothing of what it tells about.

No secret, and no label that grows with the fleet: ids stand in logs and traces, never in metrics.
"""
