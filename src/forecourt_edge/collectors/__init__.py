"""What dispensers do becomes records; what the centre orders becomes deeds. One nozzle, one keeper."""
