"""Providers and the person's way: descriptions, authorization, callback, exchange, verification, tokens.

Hands inputs to the engine; must not know pages, routes or topics.
"""
