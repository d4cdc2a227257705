"""The gateway's own keys in the key store: their names, how they are made, and sealing of secrets at rest."""
