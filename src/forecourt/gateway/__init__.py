"""The gateway process: receives what devices send, stores it raw in sets, and only then acknowledges it."""
