"""Wake-ups of bound phones by Web Push."""
