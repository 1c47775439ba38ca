"""Devices that publish over MQTT: enrolment, rotation, revocation and removal of their certificates."""
