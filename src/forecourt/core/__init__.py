"""What every module stands on: database, bus, outbox, jobs, cache, HTTP. Knows no noun of the trade."""
