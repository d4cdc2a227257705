"""`python -m gateway` is `tessera`."""

from gateway.cli import main

main(prog_name="tessera")
