"""Every kind of fault."""

from tests.faults.harness.faults import clock_steps, contents, disks, failovers, links, programs, servers, sql
from tests.faults.harness.faults.fault import Fault
from tests.faults.harness.setting import Configuration

KINDS: tuple[type[Fault], ...] = (
    programs.GateKilled, programs.GatePaused, programs.GateRestarted,
    programs.WorkerKilled, programs.WorkerPaused, programs.WorkerRestarted,
    programs.SiteKilled, programs.SitePaused, programs.SiteRestarted,
    servers.RedisKilled, servers.MasterKilled, servers.RedisPaused, servers.MasterPaused, servers.RedisRestarted,
    contents.Emptied, contents.OlderCopy, contents.AofCut, contents.Flushed, contents.ScriptsFlushed,
    contents.ClientsKilled, contents.MemoryFull, contents.Evicting,
    disks.RedisDiskFull, disks.RedisDiskFullEverysec, disks.MasterDiskFull, disks.MasterDiskFullEverysec,
    links.LinkCut, links.LinkSilent, links.LinkDeaf, links.LinkLate,
    links.MasterCut, links.MasterSilent, links.MasterDeaf, links.MasterLate,
    failovers.SentinelFailover, failovers.SentinelKilled, failovers.ReplicaKilled, failovers.ReplicaPaused,
    failovers.ClusterFailover, failovers.ClusterFailoverForce, failovers.ClusterFailoverTakeover, failovers.SlotsMoved,
    sql.SqliteLocked, sql.SqlDiskFull,
    sql.PostgresStopped, sql.PostgresCrashed, sql.PostgresPaused, sql.ConnectionsEnded,
    clock_steps.GateClock, clock_steps.WorkerClock,
)  # fmt: skip


def kinds_for(configuration: Configuration, only: str = "", without: str = "") -> list[type[Fault]]:
    """Return the kinds that a configuration can have: those named in `only`, or all, but none named in `without`."""
    named, left_out = _words(only), _words(without)
    fit = [kind for kind in KINDS if kind.fits(configuration) and kind.kind not in left_out]
    return [kind for kind in fit if not named or kind.kind in named]


def _words(text: str) -> set[str]:
    return set(filter(None, text.split(",")))


def unknown_kinds(text: str) -> set[str]:
    """Return the names in a text that no kind has."""
    return _words(text) - {kind.kind for kind in KINDS}
