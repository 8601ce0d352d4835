"""The service: rooms that import downward only, composed in `app.py`."""
