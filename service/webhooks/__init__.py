"""Webhooks: the log, told to hosts that consume no Kafka, by signed requests, in order per connector.

This room owns what a request holds, how it is signed and where it may go. Couriers bring them.
"""
