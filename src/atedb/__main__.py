"""`python -m atedb`: the command without an installed script; it adds nothing."""

from __future__ import annotations

import sys

from atedb.main import main

sys.exit(main())
