"""What can be wrong with bytes from the network, and what can be wrong with how this package is used."""


class SlpError(Exception):
    """Root of this package's exceptions."""


class Malformed(SlpError):
    """Authentic or not, these bytes do not have the form of SLP/1. Sessions count it and stay silent."""


class Misuse(SlpError):
    """The caller broke a rule of this interface: a bug on this side, never the peer's doing."""
