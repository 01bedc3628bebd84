"""One cell in this process: options as JSON in, figures as JSON out; it chooses nothing."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Run the cell that the first argument describes."""
    from tools.race import cells, churn, jobs, strain, traffic
    from tools.race.cells import Stopwatch

    options = json.loads(sys.argv[1])
    if options.get("profile"):
        import cProfile

        Stopwatch.profile = cProfile.Profile()
    known = {**cells.CELLS, **churn.CELLS, **traffic.CELLS, **jobs.CELLS, **strain.CELLS}
    figures = known[options["cell"]](options)
    Stopwatch.show(sys.stderr)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
