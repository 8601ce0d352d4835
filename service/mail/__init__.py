"""Mail: what asks a connector's owner, as e-mail to its contacts, for hosts that consume no Kafka.

This room owns what a message says, whether it still holds, and how a server takes it. Couriers bring it.
"""
