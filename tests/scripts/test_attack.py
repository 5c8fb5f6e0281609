"""`scripts/attack`: what it reports as open, and what it says that wapiti did not reach."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "security.md").read_text()


@pytest.fixture(scope="module")
def attack():
    spec = importlib.util.spec_from_file_location("attack", ROOT / "scripts" / "attack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finding(**more: str) -> dict[str, str]:
    return {"method": "GET", "path": "/leads", "parameter": "q", "info": "found", **more}


def test_a_finding_is_open_unless_the_guide_explains_it(attack, capsys):
    explained = next(iter(attack.EXPLAINED))
    report = {"vulnerabilities": {"SQL Injection": [finding()], explained: [finding()]}, "anomalies": {}}
    assert [line.partition(":")[0] for line in attack.judged(report)] == ["SQL Injection"]
    assert capsys.readouterr().out.count("\n") == 2


def test_a_server_error_is_an_open_finding(attack):
    report = {"vulnerabilities": {}, "anomalies": {"Internal Server Error": [finding(info="500")]}}
    assert len(list(attack.judged(report))) == 1


def test_each_finding_that_is_left_alone_is_explained_in_the_guide(attack):
    for category in attack.EXPLAINED:
        assert f"*{category.partition(' (')[0]}*" in GUIDE


@pytest.mark.parametrize(
    ("route", "path", "reached"),
    [
        ("/leads", "/leads", True),
        ("/leads", "/leads/L-1", False),
        ("/users/{user:[a-z0-9_.-]{1,64}}", "/users/agent", True),
        ("/users/{user:[a-z0-9_.-]{1,64}}", "/users/agent/x", False),
        ("/jobs/{job}/live", "/jobs/7/live", True),
        ("/users/{user:[a-z0-9_.-]{1,64}}", "/users/+new", False),
        ("/lists/numbers/{number}", "/lists/numbers/+12125550199", True),
    ],
)
def test_a_page_is_reached_if_a_path_fits_its_route(attack, route: str, path: str, reached: bool):
    assert attack._reached(route, [path]) == reached


def test_a_failed_view_in_the_log_of_the_site_is_an_open_finding(attack, tmp_path: Path):
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no such thing'
    failed = {"path": "/leads", "level": "error", "exception": trace, "event": "failed"}
    refused = {"path": "/leads", "level": "warning", "event": "security"}
    (tmp_path / "log").mkdir()
    log = "".join(f"{json.dumps(line)}\n" for line in (refused, failed, {"event": "failed", "loop": "keeper"}))
    (tmp_path / "log" / "site.log").write_text(f"no JSON\n{log}")
    assert list(attack.server_errors(tmp_path)) == ["site log: /leads ValueError: no such thing"]
