"""The door: everything that changes a connector is a submission to `Engine.submit`, stored in one transaction a batch.

Knows the lifecycle and the store; must not know HTTP, Kafka or any provider.
"""
