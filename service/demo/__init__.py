"""The demo: real parts embedded, a simulated provider, a host with a sync engine, and the stories that run on them.

Uses the service from outside only: HTTP, Kafka, and reading the database.
"""
