"""
What an input says when it cannot be opened. A module of its own: who reports it imports no input.

Before: envelope.py. After: udp.py.
"""


class InputError(Exception):
    """An input cannot be opened: says which, why, and what to do."""
