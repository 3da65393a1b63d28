"""From which addresses the endpoint may be reached; for all others it is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


@dataclass(frozen=True)
class Addresses:
    """Some networks."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Addresses:
        """Return those of texts such as "10.0.0.0/8" and "::1".

        Raises:
            ValueError: one is no network, or there is none; its words say so.
        """
        networks = tuple(ip_network(text.strip()) for text in texts)
        if not networks:
            raise ValueError("no network: nobody could come in")
        return cls(networks)

    def has(self, text: str) -> bool:
        """Whether an address, as a web server tells it, lies in one of them; a Unix socket has none."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:  # of a server that listens for both
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)
