"""What the bank asks its customers to approve, and their answers."""
