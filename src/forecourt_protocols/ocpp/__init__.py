"""OCPP over JSON: frames and the order of calls, alike in all versions; messages lie in a folder a version."""
