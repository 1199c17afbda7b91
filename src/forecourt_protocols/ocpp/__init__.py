"""OCPP over JSON: frames and the order of calls, alike in all versions; a version's messages have a folder."""
