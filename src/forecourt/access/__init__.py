"""Who may come in and what they may do: staff, roles, sessions of people and devices, the audit trail."""
