"""The house's own lint rules: functions from a source file to findings, with messages that teach."""
