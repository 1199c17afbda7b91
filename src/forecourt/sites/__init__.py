"""Where things are: stations, dispensers, nozzles and what they sell from when to when, tanks, products."""
