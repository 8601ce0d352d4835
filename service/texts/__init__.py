"""The words that people read, one file a language, and in which language somebody is answered.

Knows the reasons' codes and nothing else of what happens; must not know pages, routes or providers.
"""
