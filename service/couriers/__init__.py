"""Couriers: the log, told to somebody outside by whatever way, in order per connector, tried again for days.

This room owns where each endpoint stands and when it is tried again; it must not know what is sent, or how. It only
reads the log; no input comes from here.
"""
