"""Drivers and attendants: vehicles come to nozzles and chargers, and what was sold is paid over the API."""
