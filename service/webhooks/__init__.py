"""Webhooks: the log, told to hosts that consume no Kafka, by signed requests, in order per connector.

This room owns where each endpoint stands and how it is tried again. It only reads the log; no input comes from here.
"""
