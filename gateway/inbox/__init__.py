"""What the bank writes to its customers' phones."""
