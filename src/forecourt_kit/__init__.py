"""Standard library only, used everywhere: clock, ids, chance, disk, net; money, quantity, THE price."""
