"""``python -m sammoe`` is ``sammoe``."""

import sys

from sammoe.cli import main

sys.exit(main())
