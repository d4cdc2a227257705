"""Under which names this gateway is reached. One is public: it stands in codes. In development there may be others,
such as localhost beside the address on the network. The phone's door and the codes' link ask here; a name that is not
known counts as the public one, so a made-up Host header changes nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hosts:
    """The HOSTs of the protocol: lower case, with the port when it is not 443."""

    public: str
    aliases: frozenset[str] = frozenset()

    def named(self, header: str | None) -> str:
        """Return the host that a request's Host header names, if it is one of ours, else the public one."""
        return header if header is not None and header in self.aliases else self.public
