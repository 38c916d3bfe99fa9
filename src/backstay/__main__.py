"""`python -m backstay`."""

import sys

from backstay.cli import main

sys.exit(main())
