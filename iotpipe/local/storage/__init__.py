"""What the embedded AWS holds, kept on the disk as it changes, so that neither a kill nor much data is a matter."""
