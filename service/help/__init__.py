"""The documentation as pages, the page of each reason and problem, and the answers to questions about them.

Knows the packaged texts and the catalogues; must not know a connector, a person, or how anything is decided.
"""
