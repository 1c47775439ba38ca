"""What would make `up` fail or readings suffer: checked before anything is created, each with its remedy."""
