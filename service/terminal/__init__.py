"""What the words of `regrant` print about connectors: tables and paragraphs for people, JSON for programs.

Reads through `service/insight`; must not know HTTP, Kafka, or what changes a connector.
"""
