"""The words of the `regrant` command, a file for each group. Each loads what it does when it is run."""
