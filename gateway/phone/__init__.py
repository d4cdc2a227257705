"""The reference phone: a whole authenticator on the command line (`tessera phone`) and as a library for tests
and load generation. It speaks `gateway.protocol` over a WebSocket and keeps its keys in a store that is handed
in. The gateway's server code never imports this package."""
