"""`python -m atecli`: the command without an installed script; it adds nothing."""

from __future__ import annotations

import sys

from atecli.main import main

sys.exit(main())
