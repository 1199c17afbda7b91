"""SLP/1, the reliable datagram protocol between a station and the platform: both ends, no I/O.

The specification is docs/reference/slp.md; vectors/ proves an implementation without this one.
"""
