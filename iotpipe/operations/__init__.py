"""On-call operations of a deployed environment: health, logs, dead letters, redrive and outputs."""
