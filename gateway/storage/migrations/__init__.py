"""Schema migrations (Alembic). Each version spells its tables out, so that later changes of the code cannot change
what an earlier version did."""
