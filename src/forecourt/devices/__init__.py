"""Machines that speak to the centre: registry, keys, inbox of their messages, commands to them."""
