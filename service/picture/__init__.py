"""The lifecycle as a picture, drawn from the table: for the console, which fills it with numbers, and for the help.

Must not know who shows it: it is places, curves and names.
"""
