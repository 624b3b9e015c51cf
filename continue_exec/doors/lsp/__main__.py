"""`python -m continue_exec.doors.lsp`."""

import sys

from . import main

sys.exit(main())
