"""One record for whatever left a nozzle (L, kg, Nm³, kWh), with the meter's evidence; and every nozzle's live state."""
