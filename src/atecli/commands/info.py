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
    "info",
    epilog=examples(
        "ate info people",
        "ate info people --json | jq .bytes_per_object",
        '"""',
        "run(_info(target))",
        "",
        "",
        "async def _info(target: Target) -> None:",
        "from atecli.history import facts_of, ledger_of, roots_of",
        "",
        "async with target.open() as chain:",
        "files = ledger_of(chain).store.files()",
        "known: dict[str, Any] = {",
        '"name": str(chain.name),',
        '"id": chain.id.hex(),',
        '"objects": len(chain),',
        '"commits": chain.commits,',
        '"head": chain.head,',
        '"root": chain.root.hex(),',
        "**facts_of(chain),",
        '"roots": [{"identity": who, "key_id": key.hex()} for who, key in roots_of(chain)],',
        '"files": dict(sorted(files.items())),',
        "}",
        'known["time"] = iso(time_us := known.pop("time_us"))',
        'known["bytes"] = total = sum(files.values())',
        'known["bytes_per_object"] = round(total / known["objects"], 1) if known["objects"] else None',
        'known["generations"] = sorted({int(name.partition("/")[0]) for name in files})',
        "if target.as_json:",
        "output.document(known)",
        "else:",
        "output.lines(facts(_shown(known, moment(time_us))))",
        "",
        "",
        "def _shown(known: dict[str, Any], when: str) -> list[tuple[str, object]]:",
    ),
)
@chain_command
def command(target: Target) -> None:
    """Tell the facts about CHAIN: size, suite, mode, root keys, files.
    """Return the facts for people."""
    from atecli.identity import fingerprint

    per_object = known["bytes_per_object"]
    rows: list[tuple[str, object]] = [
        ("chain", known["name"]),
        ("id", known["id"]),
        ("objects", known["objects"]),
        ("commits", known["commits"]),
        ("head", f"{known['head']}, {when}"),
        ("root", known["root"]),
        ("suite", f"{known['suite']}, {SUITES.get(known['suite'], 'unknown')}"),
        ("mode", known["mode"]),
    ]
    rows += [("policy", f"{name}: {value}") for name, value in known["policy"].items()]
    rows += [
        ("root key", f"{root['identity']}  {fingerprint(bytes.fromhex(root['key_id']))}")
        for root in known["roots"]
    ]
    rows += [
        ("role", f"{name}, generation {number}") for name, number in known["roles"].items() if name != "root"
    ]
    on_disk = f"{size(known['bytes'])} in {count(len(known['files']), 'file')}"
    rows.append(("on disk", on_disk + (f", {size(per_object)} an object" if per_object else "")))
    rows.append(("generation", ", ".join(map(str, known["generations"]))))
    rows += [("file", f"{name}  {size(length)}") for name, length in known["files"].items()]
    return rows
