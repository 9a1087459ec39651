"""`python -m linnet.cli`: the same as the command `linnet`."""

import sys

from linnet.cli.application import main

sys.exit(main())
