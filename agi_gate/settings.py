"""The settings of the gate, from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from agi_gate.peers import is_loopback
from compliance.networks import Network, WrittenNetworks, networks
from compliance.settings import Settings, SettingsError, host_port_such_as


class GateSettings(Settings):
    """The settings of `agi-gate`."""

    metrics_bind: Annotated[str, host_port_such_as("127.0.0.1:9573")] = Field(
        "127.0.0.1:9573",
        description="Address on which the gate answers `/healthz`, `/readyz` and `/metrics` over HTTP.",
    )
    agi_peers: WrittenNetworks = Field(
        "",
        description="Addresses and networks of the PBXs that may ask the gate, separated by commas, such as "
        "192.0.2.10,10.8.0.0/24; empty: this machine only.",
    )
    deadline_ms: float = Field(
        50, ge=5, le=1000, description="Milliseconds that a decision may take; after that the call is blocked."
    )
    peer_ms: float = Field(
        1000,
        ge=50,
        le=30_000,
        description="Milliseconds that a PBX may take to send its request, or its reply.",
    )
    most_conversations: int = Field(
        4000,
        ge=10,
        le=100_000,
        description="AGI connections that one gate process accepts at once; further ones are closed without an answer.",
    )
    most_conversations_of_peer: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="The same for the connections from one address, so that one PBX leaves room for the others.",
    )

    spool_dir: str = Field(
        "",
        description="Directory in which the gate keeps decisions while Redis accepts none; empty: `spool` in the data "
        "directory.",
    )
    spool_mb: int = Field(
        64,
        ge=0,
        le=100_000,
        description="Most that all gate processes together keep there, in megabytes of 1,000,000 bytes; 0: nothing.",
    )

    @property
    def spool(self) -> Path:
        """The directory in which decisions wait on disk."""
        return Path(self.spool_dir) if self.spool_dir else self.data_dir / "spool"

    @property
    def private(self) -> tuple[Path, ...]:
        """The directories and the file that other users of the machine must not read."""
        return *super().private, self.spool

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks of the PBXs."""
        return networks(self.agi_peers)

    def require_peers(self) -> None:
        """Raise SettingsError if other machines can reach the AGI port, and no PBX is named."""
        if not self.networks and not is_loopback(self.agi_bind.rpartition(":")[0]):
            raise SettingsError(
                f"DNC_AGI_PEERS: other machines can reach {self.agi_bind} (DNC_AGI_BIND), and FastAGI has no password; "
                "write the addresses of your PBXs, such as 192.0.2.10 or 10.8.0.0/24"
            )
