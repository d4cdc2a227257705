"""Hardware token drivers and the branch station. Never imports `gateway` or `hsm_adapters`."""
