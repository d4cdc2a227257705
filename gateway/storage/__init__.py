"""The database: one writer thread with group commit, reader threads, shared schema, migrations."""
