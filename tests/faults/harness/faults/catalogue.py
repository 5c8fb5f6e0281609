"""Every kind of fault."""

from tests.faults.harness.faults import programs, servers
from tests.faults.harness.faults.fault import Fault
from tests.faults.harness.setting import Configuration

KINDS: tuple[type[Fault], ...] = (
    programs.GateKilled, programs.GatePaused, programs.GateRestarted,
    programs.WorkerKilled, programs.WorkerPaused, programs.WorkerRestarted,
    programs.SiteKilled, programs.SitePaused, programs.SiteRestarted,
    servers.RedisKilled, servers.MasterKilled, servers.RedisPaused, servers.MasterPaused, servers.RedisRestarted,
    servers.ClientsKilled,
)  # fmt: skip


def kinds_for(configuration: Configuration, only: str = "") -> list[type[Fault]]:
    """Return the kinds that a configuration can have; of these the named ones, if any are named."""
    named = set(filter(None, only.split(",")))
    return [kind for kind in KINDS if kind.fits(configuration) and (not named or kind.kind in named)]
