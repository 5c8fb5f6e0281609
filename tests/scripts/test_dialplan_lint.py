"""The dialplan lint: the shipped files pass, and it reports each way to let a call bypass the gate."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from phonenumbers import shortnumberinfo

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "dialplan_lint.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dialplan_lint", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["dialplan_lint"] = module
    spec.loader.exec_module(module)
    return module


lint = load()


def test_the_shipped_dialplan_passes() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


GUARD = 'GotoIf($["${DNC_VERDICT}" = "ALLOW-${UNIQUEID}"]?whole)'
SAMPLE, SCREEN, EMERGENCY = (f"extensions_dnc{part}.conf" for part in ("_sample", "", "_emergency"))


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (SAMPLE, "_[+(0-9].", "_.", "matches anything"),
        (SAMPLE, "_[+(0-9].", "_!", "matches anything"),
        (SAMPLE, "PJSIP/${DNC_NUMBER}@", "PJSIP/${EXTEN}@", "does not dial ${DNC_NUMBER} alone"),
        (SAMPLE, "PJSIP/${DNC_NUMBER}@", "PJSIP/${DNC_NUMBER}${EXTEN:9}@", "does not dial ${DNC_NUMBER} alone"),
        (SAMPLE, "Gosub(dnc-screen,s,1(${EXTEN},))", "NoOp(${EXTEN})", "directly follow Gosub"),
        (SAMPLE, "n,Dial", "n(again),Dial", "directly follow Gosub"),
        (SAMPLE, "Gosub(dnc-screen,", "Gosub(dnc-sceen,", "there is no dnc-sceen,s,1"),
        (SCREEN, GUARD, 'GotoIf($["${DNC_VERDICT:0:5}" = "ALLOW"]?whole)', "one GotoIf("),
        (SCREEN, GUARD, 'GotoIf($["${AGISTATUS}" = "SUCCESS"]?whole)', "one GotoIf("),
        (SCREEN, "?broken)\n same => n,Set", "?whole)\n same => n,Set", "around the exact comparison"),
        (SCREEN, " same => n,Goto(next)\n", "", "without the exact comparison"),
        (SCREEN, "n,Return()", "n(out),Return()", "around the exact comparison"),
        (SCREEN, "n(end),Hangup(21)", "n(end),Return()", "one Return"),
        (SCREEN, "LOCAL(AGIEXITONHANGUP)=yes,", "", "AGI without AGIEXITONHANGUP=yes"),
        (SCREEN, "LOCAL(AGISIGHUP)=no,", "", "AGI without AGISIGHUP=no"),
        (SCREEN, "Set(TIMEOUT(absolute)=2)", "NoOp()", "AGI without an absolute timeout"),
        (SCREEN, "BLOCK,DNC_NUMBER=,DNC_REASON=hung-up,", "BLOCK,DNC_REASON=hung-up,", "AGI without the safe answer"),
        (SCREEN, "exten => T,1", "exten => t,1", "without a T extension"),
        (SCREEN, "DNC_DECISION=)", "DNC_DECISON=)", "no DNC_DECISON"),
        (SCREEN, "CDR(dnc_verdict)=BLOCK,", "CDR(dnc_verdikt)=BLOCK,", "no CDR field dnc_verdikt"),
        (SCREEN, "DNC_REASON=gate-silent", "DNC_REASON=gate-mute", "no reason gate-mute"),
        (SCREEN, 'GotoIf($["${ARGC}" != "2"]?refuse)', 'GotoIf($["${ARG1}" = ""]?refuse)', "used in an expression"),
        (SCREEN, "Set(DNC_LEAD=${ARG2})", "Set(DNC_LEAD=${IF(1?${ARG2})})", "used in an expression"),
        (SCREEN, "Set(DNC_LEAD=${ARG2})", "ExecIf(1?Set(DNC_LEAD=${ARG2}))", "used in an expression"),
        (SCREEN, '{1,64}$" ${DNC_CAMPAIGN})', '{1,64}" ${DNC_CAMPAIGN})', "used without a check"),
        (SCREEN, "Set(DNC_MORE=,${", "NoOp()\n same => n,Set(DNC_MORE=,${", "used without a check"),
        (SCREEN, "n,Set(DNC_MORE=,${", "n(with),Set(DNC_MORE=,${", "used without a check"),
        (SCREEN, "${DNC_LEAD}${DNC_MORE})", "${DNC_LEAD},${DNC_CAMPAIGN})", "used without a check"),
        (SCREEN, "Set(DNC_MORE=,${DNC_CAMPAIGN})", "ExecIf(1?Set(DNC_MORE=,${DNC_CAMPAIGN}))", "in an expression"),
        (SAMPLE, "Set(DNC_CAMPAIGN=", "Set(DNC_CAMPAING=", "no DNC_CAMPAING"),
        (SCREEN, "?:ask)", "?:aks)", "there is no aks"),
        (SCREEN, "n(end),", "n(last),", "there is no end"),
        (SCREEN, "Playback(", "Goto(end)\n same => n,Playback(", "cannot be reached"),
        (EMERGENCY, "exten => 911,1", "exten => _911.,1", "one exact number"),
        (EMERGENCY, "911,1,Gosub(dnc-emergency,s,1(911))", "911,1,Gosub(dnc-emergency,s,1(912))", "must dial it"),
        (EMERGENCY, "${ARG1}@trunk", "${EXTEN}@trunk", "does not dial"),
        (SAMPLE, "include => dnc-emergency-us\n", "include => x\ninclude => dnc-emergency-us\n", "before the emerg"),
        (SAMPLE, "include => dnc-screened\n", "include => dnc-screened\nexten => 5,1,NoOp()\n", "before the emergency"),
        ("cdr.conf", "unanswered=yes", "unanswered=no", "leaves no record"),
        ("cdr_custom.conf", "${CSV_QUOTE(${CDR(dnc_lead)})}", "${CDR(dnc_lead)}", "dnc_lead is missing or not quoted"),
        ("cdr_custom.conf", ",${CSV_QUOTE(${CDR(dnc_number)})}", "", "dnc_number is missing or not quoted"),
    ],
)  # fmt: skip
def test_each_way_past_the_gate_is_named(tmp_path: Path, file: str, old: str, new: str, fault: str) -> None:
    directory = shutil.copytree(ROOT / "dialplan", tmp_path / "dialplan")
    text = (directory / file).read_text()
    assert old in text
    (directory / file).write_text(text.replace(old, new))
    assert any(fault in told for told in lint.faults(directory)), lint.faults(directory)


def test_faults_end_the_script_with_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / SCREEN).write_text("[other]\n")
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "there is no context dnc-screen\n")


def test_the_emergency_numbers_of_each_country_are_those_that_phonenumbers_knows() -> None:
    contexts = lint.read([ROOT / "dialplan" / EMERGENCY])
    prefix = f"{lint.EMERGENCY}-"
    countries = {name.removeprefix(prefix): context for name, context in contexts.items() if name.startswith(prefix)}
    assert {"us", "ca", "gb", "mx"} <= set(countries)
    for country, context in countries.items():
        known = [number for number in SHORT if shortnumberinfo.is_emergency_number(number, country.upper())]
        assert [step.exten for step in context.steps] == known


SHORT = [str(number).zfill(length) for length in (2, 3, 4) for number in range(10**length)]


@pytest.mark.parametrize("place", ["missing", "empty", "file"])
def test_a_place_without_dialplan_files_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert lint.faults(tmp_path / place) == [f"{tmp_path / place}: there is no directory with files extensions*.conf"]
