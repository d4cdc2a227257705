"""The audit log: a hash chain of what happened, with checkpoints signed by the key store."""
