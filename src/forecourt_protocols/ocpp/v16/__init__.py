"""OCPP 1.6: the messages of the Core and Firmware Management profiles and of Remote Trigger, as published."""
