"""What is to be learned from the log: why a connector is in its state, its story, the fleet in numbers.

Pure functions over rows, and the reading of those rows; must not know HTTP, Kafka, pages, or how providers are called.
"""
