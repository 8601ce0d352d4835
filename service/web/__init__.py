"""The connect window: the pages that a customer's admin sees.

Asks the flow and shows what it says; must not know SQL, Kafka, or how a decision is made.
"""
