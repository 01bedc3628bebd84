"""Races the product against its peers and the raw disk; it measures nothing itself.

`make bench` runs it. By hand:

    tools/bench.py                       every goal, writes docs/bench.md
    tools/bench.py --quick --only G1,G3  a rough look, prints only
    tools/bench.py --profile G7          where the product spends its time in one goal

All options: `tools/bench.py --help`.
"""

from __future__ import annotations

import compileall
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    # The peers were compiled when they were installed; so is the product, for its users.
    compileall.compile_dir(ROOT / "src", quiet=2)
    from tools.race.command import main

    sys.exit(main(sys.argv[1:]))
