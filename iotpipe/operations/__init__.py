"""What a person on call needs: health, logs, dead letters and outputs of an environment that is up."""
