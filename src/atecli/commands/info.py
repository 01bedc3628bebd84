"""`ate info`: the facts about a chain in one screen; it judges nothing (`ate verify` does)."""

from __future__ import annotations

from typing import Any, Final

import click

from atecli import output
from atecli.opening import Target, chain_command, examples, run
from atecli.text import count, facts, iso, moment, size

SUITES: Final = {
    0: "no keys: neither sealed nor signed",
    1: "each commit signed by a long-term key",
    2: "each commit signed by a certified session key",
}


@click.command(
    "info", epilog=examples("ate info people", "ate info people --json | jq .bytes_per_object")
)
@chain_command
def command(target: Target) -> None:
    """Tell the facts about CHAIN: size, suite, mode, root keys, files."""
    run(target, _info(target))


async def _info(target: Target) -> None:
    from atecli.history import facts_of

    async with target.open() as chain:
        known = facts_of(chain)
    time_us, files = known.pop("time_us"), known["files"]
    total = sum(files.values())
    known |= {
        "time": iso(time_us),
        "bytes": total,
        "bytes_per_object": round(total / known["objects"], 1) if known["objects"] else None,
        "generations": sorted({int(name.partition("/")[0]) for name in files}),
    }
    if target.as_json:
        output.document(known)
    else:
        output.lines(facts(_shown(known, moment(time_us))))


def _shown(known: dict[str, Any], when: str) -> list[tuple[str, object]]:
    """Return the facts for people."""
    from atecli.identity import fingerprint

    per_object = known["bytes_per_object"]
    rows: list[tuple[str, object]] = [
        ("chain", known["name"]),
        ("id", known["id"]),
        ("objects", known["objects"]),
        ("commits", known["commits"]),
        ("head", f"{known['head']}, {when}"),
        ("rows", _rows(known)),
        ("root", known["root"]),
        ("sealed", _sealed(known)),
        ("suite", f"{known['suite']}, {SUITES.get(known['suite'], 'unknown')}"),
        ("mode", known["mode"]),
    ]
    if known["clock_skew"]:
        rows.append(("clock", f"{known['clock_skew']:+.0f} seconds off by this chain's time"))
    fork = known["fork"]
    if fork is not None:
        rows.append(("forked from", f"{fork.get('name')}, row {fork.get('seq')}"))
        rows.append(("source", f"id {fork.get('chain')}"))
        rows.append(("", f"root {fork.get('root', 'not held any more')}"))
    rows += [
        ("policy", _policy(name, value))
        for name, value in known["policy"].items()
        if name != "fork" or fork is None
    ]
    if known["hold"]:
        rows.append(("hold", known["hold"]))
    for root in known["roots"]:
        rows.append(("root key", f"{root['identity']}  {fingerprint(root['key_id'])}"))
    for name, number in known["roles"].items():
        rows.append(("role", f"{name}, generation {number}"))
    on_disk = f"{size(known['bytes'])} in {count(len(known['files']), 'file')}"
    rows.append(("on disk", on_disk + (f", {size(per_object)} an object" if per_object else "")))
    rows.append(("generation", ", ".join(map(str, known["generations"]))))
    rows += [("file", f"{name}  {size(length)}") for name, length in known["files"].items()]
    return rows


def _rows(known: dict[str, Any]) -> str:
    """Return how much of the past is there."""
    if not known["cut"]:
        return f"{known['rows']}, all there ever were"
    return f"{known['rows']} are kept, and all since commit {known['cut']}"


def _policy(name: str, value: Any) -> str:
    if name == "retention" and isinstance(value, dict):
        return f"{name}: " + ", ".join(f"{number} {unit}" for unit, number in value.items())
    return f"{name}: {value}"


def _sealed(known: dict[str, Any]) -> str:
    """Return what the newest checkpoint covers."""
    if known["checkpoint"] is None:
        return "no checkpoint"
    return f"checkpoint over {known['checkpoint']} of {count(known['commits'], 'commit')}"
