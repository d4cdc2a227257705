"""What the load benches share: processes under measurement, a seeded installation, the bank and the phones that use
it, and a bare server beside it."""
