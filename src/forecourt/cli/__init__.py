"""The command line: starts processes, moves the schema, makes the first administrator, verifies, measures."""
