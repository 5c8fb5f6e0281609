#!/usr/bin/env python3
"""Check `dialplan/*.conf` for faults that could let a call bypass the gate. Exits with code 1 if there are any."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from compliance import channel_vars, verdict  # noqa: E402

SCREEN = "dnc-screen"
EMERGENCY = "dnc-emergency"
COMPARISON = '$["${DNC_VERDICT}" = "ALLOW-${UNIQUEID}"]'
NEEDED = {
    "AGIEXITONHANGUP=yes": r"AGIEXITONHANGUP\)?=yes",
    "AGISIGHUP=no": r"AGISIGHUP\)?=no",
}
NEEDED_EACH_TIME = {
    "an absolute timeout": r"TIMEOUT\(absolute\)=[1-9]",
    "the safe answer": r"DNC_VERDICT=BLOCK.*DNC_NUMBER=.*DNC_DECISION=",
}
NAMES = {
    *(channel_vars.VERDICT, channel_vars.NUMBER, channel_vars.REASON, channel_vars.DECISION),
    *channel_vars.GLOBALS,
    channel_vars.CAMPAIGN,
    *channel_vars.CLICKED,
    *channel_vars.OWN,
}
REASONS = {*verdict.DIALPLAN_REASONS, "bad-channel", "emergency"}
FROM_OUTSIDE = re.compile(rf"\$\{{(EXTEN|ARG\d|PJSIP_HEADER|CALLERID|{channel_vars.CAMPAIGN})")
CAMPAIGN = f"${{{channel_vars.CAMPAIGN}"
IS_CAMPAIGN = f'${{REGEX("^[-A-Za-z0-9_.]{{1,64}}$" {CAMPAIGN}}})}}?:'
LEAVES = ("Goto", "Return", "Hangup")


@dataclass(frozen=True)
class Step:
    """One priority of an extension: its place in the files, its label, and the application with its arguments."""

    file: str
    line: int
    context: str
    exten: str
    label: str
    app: str
    data: str


@dataclass
class Context:
    """One context: the contexts it includes, and its steps in order."""

    includes: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


Fault = tuple[Step, str]


def read(files: Iterable[Path]) -> dict[str, Context]:
    """Parse the contexts of all files, as Asterisk's pbx_config does."""
    contexts: dict[str, Context] = {}
    for file in files:
        name, exten = "", ""
        for number, raw in enumerate(file.read_text().split("\n"), start=1):
            line = re.sub(r"(?<!\\);.*", "", raw).strip()
            if header := re.fullmatch(r"\[([\w-]+)\](\(\+\))?", line):
                name = header[1]
                contexts.setdefault(name, Context())
            elif included := re.fullmatch(r"include\s*=>\s*(\S+)", line):
                contexts[name].includes.append(included[1])
            elif step := re.fullmatch(
                r"(exten\s*=>\s*(?P<exten>.+?),|same\s*=>\s*)(1|n)(\((?P<label>\w+)\))?,(?P<rest>.*)", line
            ):
                exten = step["exten"] or exten
                app, _, data = step["rest"].partition("(")
                contexts[name].steps.append(
                    Step(file.name, number, name, exten, step["label"] or "", app, data.removesuffix(")"))
                )
    return contexts


def steps_of(contexts: dict[str, Context]) -> Iterator[Step]:
    """Yield every step of every context."""
    for context in contexts.values():
        yield from context.steps


def wide_patterns(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report the patterns `_.` and `_!`, which match any extension, even the special ones h, i, t and T."""
    for step in steps_of(contexts):
        if re.match(r"_[.!]", step.exten):
            yield step, f"the pattern {step.exten} matches anything"


def unscreened_dials(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report a Dial that does not directly follow the screening, or does not dial the judged number alone.

    Emergency calls are exempt.
    """
    for context in contexts.values():
        for before, step in zip([None, *context.steps], context.steps, strict=False):
            if step.app != "Dial" or (step.context == EMERGENCY and "${ARG1}" in step.data):
                continue
            if "${DNC_NUMBER}" not in step.data or FROM_OUTSIDE.search(step.data):
                yield step, "Dial does not dial ${DNC_NUMBER} alone"
            screened = before and before.exten == step.exten and before.data.startswith(f"{SCREEN},s,1(")
            if not screened or step.label:
                yield step, f"Dial does not directly follow Gosub({SCREEN},...)"


def unguarded_returns(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report a screening that has several Return steps, or can return without the exact comparison."""
    steps = contexts[SCREEN].steps
    returns = [step for step in steps if step.app == "Return"]
    guards = [step for step in steps if step.app == "GotoIf" and step.data.startswith(COMPARISON + "?")]
    if len(returns) != 1 or len(guards) != 1:
        yield steps[0], f"there must be one Return and one GotoIf({COMPARISON}?label)"
        return
    allowed = guards[0].data.removeprefix(COMPARISON + "?")
    first = next((index for index, step in enumerate(steps) if step.label == allowed), 0)
    after = steps.index(returns[0])
    if not 0 < first <= after or steps[first - 1].app not in LEAVES:
        yield returns[0], "Return can be reached without the exact comparison"
    for step in steps:
        inside = first < steps.index(step) <= after
        if (step is not guards[0] and allowed in _targets(step)) or (inside and step.label):
            yield step, "a jump leads around the exact comparison"


def missing_needs(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report an AGI step if a safeguard before it is missing.

    Without the timeout, a silent gate would hold the call for ever. Without the safe answer, parts of two gates'
    answers could together look like a complete answer.
    """
    for step in steps_of(contexts):
        if step.app != "AGI":
            continue
        earlier = [other for other in contexts[step.context].steps if other.line < step.line]
        again = [other for other in earlier if other.line >= _repeated_from(contexts[step.context].steps, step)]
        for steps, needed in ((earlier, NEEDED), (again, NEEDED_EACH_TIME)):
            for name, pattern in needed.items():
                if not any(re.search(pattern, other.data) for other in steps):
                    yield step, f"AGI without {name} before it"
        if not any(other.exten == "T" for other in contexts[step.context].steps):
            yield step, "AGI in a context without a T extension"


def _repeated_from(steps: list[Step], agi: Step) -> int:
    """Return the line of the last label before `agi` that a later step jumps back to; 0 if there is none."""
    back = {target.rpartition(",")[2] for step in steps if step.line > agi.line for target in _targets(step)}
    return max((step.line for step in steps if step.line < agi.line and step.label in back), default=0)


def unknown_names(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report variables, CDR fields and reasons that compliance/channel_vars.py and verdict.py do not define."""
    for step in steps_of(contexts):
        for name in set(re.findall(r"\bDNC_\w+", step.data)) - NAMES:
            yield step, f"compliance/channel_vars.py has no {name}"
        for name in set(re.findall(r"CDR\((dnc_\w+)\)", step.data)) - set(channel_vars.CDR_FIELDS):
            yield step, f"compliance/channel_vars.py has no CDR field {name}"
        for reason in set(re.findall(r"(?:DNC_REASON|CDR\(dnc_reason\))=([\w-]+)", step.data)) - REASONS:
            yield step, f"compliance/channel_vars.py has no reason {reason}"


def evaluated_input(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report caller input inside an expression, because the input could end the expression and begin another."""
    for step in steps_of(contexts):
        evaluated = [step.data] if step.app in {"ExecIf", "GosubIf"} else re.findall(r"\$\[.*?\]", step.data)
        evaluated += re.findall(r"\$\{IF\(.*", step.data)
        if any(FROM_OUTSIDE.search(text) for text in evaluated):
            yield step, "input from outside is used in an expression"


def unchecked_campaign(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report a campaign that is used without a check of its whole text, because a comma in it would add an argument."""
    for context in contexts.values():
        for before, step in zip([None, *context.steps], context.steps, strict=False):
            if CAMPAIGN not in step.data.replace(IS_CAMPAIGN, ""):
                continue
            if step.label or before is None or not before.data.startswith(IS_CAMPAIGN):
                yield step, f"{CAMPAIGN}}} is used without a check directly before"


def broken_jumps(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report jumps without a target, labels without a jump, and steps that cannot be reached."""
    for context in contexts.values():
        wanted = {target for step in context.steps for target in _targets(step)}
        here = {step.label for step in context.steps} | {f"{step.exten},{step.label}" for step in context.steps}
        for before, step in zip([None, *context.steps], context.steps, strict=False):
            for target in _targets(step):
                if "${" not in target and target not in here and target.split(",")[0] not in contexts:
                    yield step, f"there is no {target} to jump to"
            if step.label and not {step.label, f"{step.exten},{step.label}"} & wanted:
                yield step, f"nothing jumps to {step.label}"
            if before and before.exten == step.exten and before.app in LEAVES and not step.label:
                yield step, "this step cannot be reached"


def _targets(step: Step) -> list[str]:
    """Return the targets of a step's jumps: labels, `extension,label`, or `context,extension,priority`."""
    if step.app in {"Goto", "Gosub"}:
        return [step.data.partition("(")[0]]
    if step.app == "GotoIf":
        branches = step.data[step.data.rindex("?") + 1 :]
        return [branch for branch in branches.split(":") if branch]
    return []


def loose_emergency(contexts: dict[str, Context]) -> Iterator[Fault]:
    """Report emergency extensions that are not exact numbers, dial another number, or come after a pattern."""
    for name, context in contexts.items():
        if name.startswith(f"{EMERGENCY}-"):
            for step in context.steps:
                if not step.exten.isdigit() or step.data != f"{EMERGENCY},s,1({step.exten})":
                    yield step, "an emergency extension must be one exact number, and must dial it"
        elif any(included.startswith(f"{EMERGENCY}-") for included in context.includes):
            first = context.includes[0].startswith(f"{EMERGENCY}-")
            if not first or context.steps:
                yield Step(name, 0, name, "", "", "", ""), "patterns are matched before the emergency numbers"


RULES = (
    *(wide_patterns, unscreened_dials, unguarded_returns, missing_needs, unknown_names),
    *(evaluated_input, unchecked_campaign, broken_jumps, loose_emergency),
)


def records(directory: Path) -> Iterator[str]:
    """Report CDR settings that lose the record of a blocked call, or that omit a field or do not quote it."""
    if not re.search(r"^unanswered\s*=\s*yes", (directory / "cdr.conf").read_text(), re.MULTILINE):
        yield "cdr.conf: without unanswered=yes a blocked call leaves no record"
    mapping = (directory / "cdr_custom.conf").read_text()
    for name in channel_vars.CDR_FIELDS:
        if f"${{CSV_QUOTE(${{CDR({name})}})}}" not in mapping:
            yield f"cdr_custom.conf: {name} is missing or not quoted"


def faults(directory: Path) -> list[str]:
    """Return every fault of the dialplan in `directory`, one line for each."""
    files = sorted(directory.glob("extensions*.conf"))
    if not files:
        return [f"{directory}: there is no directory with files extensions*.conf"]
    contexts = read(files)
    if SCREEN not in contexts or not contexts[SCREEN].steps:
        return [f"there is no context {SCREEN}"]
    found = [fault for rule in RULES for fault in rule(contexts)]
    return [*(f"{step.file}:{step.line}: {message}" for step, message in found), *records(directory)]


if __name__ == "__main__":
    told = faults(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dialplan")
    sys.exit("\n".join(told) if told else 0)
