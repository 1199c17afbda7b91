"""The centre: every module of the platform, and the processes that wire them together."""
