"""The Tessera gateway: binds a bank customer's phone to the desktop banking session."""
