"""The Lambda handlers. They run on AWS and import nothing from the rest of iotpipe."""
