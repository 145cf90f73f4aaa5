"""`python -m runner` is `runner`."""

import sys

from runner.cli import main

sys.exit(main())
