"""Kafka in and out: CloudEvents, consuming into the engine, publishing the log, topics.

Must not write the database but through the engine, or decide anything about a connector.
"""
