"""Clock, identifiers, secrets, errors, facts: what everything else stands on. No rules, no I/O."""
