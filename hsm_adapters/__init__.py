"""Key stores behind one face (`api.HsmAdapter`). The gateway asks for operations by key label and never sees a
key."""
