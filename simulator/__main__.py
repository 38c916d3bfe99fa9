"""``python -m backstay.simulator``."""

import sys

from backstay.simulator.program import main

sys.exit(main())
