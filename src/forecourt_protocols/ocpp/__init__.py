"""OCPP over JSON: frames and the order of calls, alike in all versions; messages, a folder a version."""
