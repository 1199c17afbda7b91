"""The way from the station's journal to the centre: SLP/1 over UDP, over TCP where UDP does not pass."""
