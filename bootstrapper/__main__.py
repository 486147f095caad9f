"""`python -m bootstrapper`."""

import sys

from bootstrapper.cli import main

sys.exit(main())
