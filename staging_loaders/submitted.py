"""What spark-submit runs: the runner's command line, from the project that was sent along or the one it lies in."""

import os
import sys

# spark-submit puts this file's folder in front, and the workers' zip file after it; neither is a project.
_SENT = os.path.abspath("project")
sys.path[0] = _SENT if os.path.isdir(_SENT) else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if __name__ == "__main__":
    from runner.cli import main

    sys.exit(main())
