"""iotpipe: a serverless IoT data pipeline on AWS, brought up, proved and taken down by one command each."""
