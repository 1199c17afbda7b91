"""Standard library only, used by every part: clock, ids, chance, disk and net ports; money, quantity, THE price function."""
