"""PKCS#11 ("Cryptoki") below the adapter: the C interface by ctypes, modules and tokens with their recovery, worker
threads with a session each, and the operations on keys."""
