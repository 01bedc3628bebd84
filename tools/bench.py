"""Races the product against its peers and the raw disk; it measures nothing itself.

`make bench` runs it. By hand:

    tools/bench.py                       every goal, writes docs/bench.md
    tools/bench.py --quick --only G1,G3  a rough look, prints only
    tools/bench.py --profile G7          where the product spends its time in one goal

All options: `tools/bench.py --help`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tools.race.command import main

    sys.exit(main(sys.argv[1:]))
