"""The other side of every wire: virtual dispensers, charge points, drivers, payment channels."""
