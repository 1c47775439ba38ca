"""The data of the embedded AWS in one SQLite database, written as it changes."""
