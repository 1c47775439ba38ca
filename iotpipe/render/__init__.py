"""Everything that iotpipe prints, for people and programs. All of it passes the one filter in `output`."""
