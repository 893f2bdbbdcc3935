"""Runs a command with a prompt of broken UTF-8."""

import subprocess
import sys

command = [part.encode() for part in sys.argv[1:]]
sys.exit(subprocess.run([*command, b"--raw", b"--prompt", b"a \xff\xfe bad \xc3"]).returncode)
