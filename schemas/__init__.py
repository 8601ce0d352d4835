"""The contracts: plain types, the reason catalogue, records and bodies, and the documents made from them.

Imports nothing of ours, does no I/O.
"""
