"""Documentation, and what writes its reference part from the definitions."""
