"""The page of `iotpipe view`: a web server on loopback and the files that it serves. It only reads the pipeline."""
