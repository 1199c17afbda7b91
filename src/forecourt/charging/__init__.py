"""What only charging has: charge points, transactions, meter values, id tags. It ends as a delivery."""
