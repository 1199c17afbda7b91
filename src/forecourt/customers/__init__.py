"""Members: the drivers an operator knows by name."""
