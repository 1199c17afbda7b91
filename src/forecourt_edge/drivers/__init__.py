"""Dispensers as the station sees them: lines, guns in house units, and when each is asked."""
