"""For a person on call: the functions' logs, the dead letters, and how an environment is doing."""
