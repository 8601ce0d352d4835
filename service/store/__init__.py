"""All SQL: named statements and migrations. Only the engine may use `batch`, which writes connectors.

Must not know Kafka, HTTP, providers, or what a sealed value holds.
"""
