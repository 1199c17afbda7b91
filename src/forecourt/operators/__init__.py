"""Operators, the tenants: who they are. Everything else in the house hangs on an operator's id."""
