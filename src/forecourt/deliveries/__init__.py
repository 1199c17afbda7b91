"""One record for whatever left a nozzle, with the meter's evidence; and every nozzle's live state."""
