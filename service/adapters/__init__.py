"""Adapters: webhooks of sync engines that write no Kafka become sync events, on the same topic as everybody's.

This room owns whose requests are believed, and what their JSON means. It decides nothing about a connector: the events
go the way of all events, through the topic, the fence and the door.
"""
