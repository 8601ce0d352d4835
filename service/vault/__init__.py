"""Sealing: what a connector owns is kept so that only the right row, under the right key, opens.

Must not know SQL, providers or HTTP; keys that wrap other keys never leave their source.
"""
