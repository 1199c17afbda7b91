"""Bytes to messages and back, for every wire: no I/O, no clock, no chance. One folder a family."""
