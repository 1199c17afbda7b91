"""What is owed for what left a nozzle: authorisations, sales, their payment, void and refund."""
