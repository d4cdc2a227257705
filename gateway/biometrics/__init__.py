"""The biometric factor of a binding: one WebAuthn platform credential."""
