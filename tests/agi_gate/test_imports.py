"""What a serving gate imports. Each library here adds to the time that a restart takes, so a new one is a decision."""

import sys
from pathlib import Path

from lab.process import Process, accepts, free_port
from lab.redis import RedisServer
from tests.support.asterisk import screen
from tests.support.handmade import HandmadeProjection

LIBRARIES = {
    "annotated_doc", "annotated_types", "cython_runtime", "dotenv", "greenlet", "hiredis", "phonenumbers",
    "prometheus_client", "pydantic", "pydantic_core", "pydantic_settings", "redis", "shellingham", "structlog", "typer",
    "typing_extensions", "typing_inspection", "uvloop",
}  # fmt: skip
"""`greenlet` comes with structlog, `cython_runtime` with uvloop, `annotated_doc` and `shellingham` with typer."""


PROGRAM = """
import atexit, runpy, sys
atexit.register(lambda: print("imported", *{name.partition(".")[0] for name, one in sys.modules.items() if one}))
sys.argv = ["agi-gate", "serve"]
runpy.run_module("agi_gate", run_name="__main__", alter_sys=True)
"""


def test_a_serving_gate_imports_these_libraries_and_no_others(redis_server: RedisServer, tmp_path: Path):
    HandmadeProjection(redis_server)
    agi, metrics = free_port(), free_port()
    settings = {"DNC_AGI_BIND": f"127.0.0.1:{agi}", "DNC_METRICS_BIND": f"127.0.0.1:{metrics}"}
    settings |= {"DNC_REDIS_URL": redis_server.url, "DNC_DATA_DIR": str(tmp_path), "DNC_DEADLINE_MS": "1000"}
    with Process([sys.executable, "-c", PROGRAM], tmp_path / "gate.log", settings) as gate:
        gate.wait_until(lambda: accepts(("127.0.0.1", agi)), within_s=60)
        assert screen(agi, "+14155550199").allowed
        assert gate.stop() == 0
        (imported,) = (line for line in gate.log.read_text().splitlines() if line.startswith("imported "))
    others = {*imported.split()[1:]} - sys.stdlib_module_names - {"agi_gate", "compliance"}
    assert {name for name in others if not name.startswith("_")} == LIBRARIES
