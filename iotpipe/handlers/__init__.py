"""The Lambda handlers. What is here runs on AWS and knows nothing of the rest of iotpipe."""
