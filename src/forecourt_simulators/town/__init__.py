"""Several simulators in one process: what a demo on one machine needs."""
