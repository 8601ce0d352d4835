"""Drivewell: a small data platform that uses regrant as any host would, by its HTTP API and its topics.

Its page has a list of connectors, the menu with *Edit credentials*, and live updates from its own Kafka consumer.
"""
