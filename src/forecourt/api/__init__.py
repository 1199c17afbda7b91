"""The HTTP process: mounts every module's routes, the front ends, health and documents. Decides nothing."""
