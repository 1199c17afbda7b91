"""Payment channels played from the other side: own keys, own books, and faults on request."""
