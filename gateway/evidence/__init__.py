"""Evidence: what was approved, in one file that anybody can verify years later."""
