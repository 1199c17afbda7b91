"""The worker process: relays events, understands device messages, asks channels, keeps the clock jobs."""
