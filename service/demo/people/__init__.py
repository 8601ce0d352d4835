"""`regrant demo --people N`: customers of all temperaments at once, and whether the console counts what they did."""
