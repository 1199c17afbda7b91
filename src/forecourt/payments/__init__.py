"""Money taken from a payer: payments, attempts, allocations, refunds, notifications. Books go to `ledger`."""
