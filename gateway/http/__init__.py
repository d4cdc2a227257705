"""The HTTP face that all capabilities share."""
