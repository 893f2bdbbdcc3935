"""limit.py BYTES COMMAND...: runs a command that cannot make files longer than BYTES, as on a disk that fills up."""

import os
import resource
import sys

# Python ignores the signal that goes with the limit, and so does what it becomes: writing fails.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execvp(sys.argv[2], sys.argv[2:])
