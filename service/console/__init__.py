"""The console: pages for support and operators, from the public API alone, asked in this process.

Must not know the database, the engine, providers or Kafka: what it can't get from the API, a host can't either.
"""
