"""Machines that speak to the centre: registry, keys, the inbox of their messages, the commands they are sent."""
