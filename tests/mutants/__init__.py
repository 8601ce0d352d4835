"""Realistic wrong edits, as patches, and a runner that shows that the suite finds every one: `make mutants`."""
