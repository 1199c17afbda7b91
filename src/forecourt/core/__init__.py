"""What every module stands on: database, bus, outbox, jobs, cache, idempotency, HTTP shapes. Knows no noun of the trade."""
