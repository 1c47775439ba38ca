"""What stands in the way of an environment: looked at before anything is made, each with its remedy."""
