"""Ctrl-C in the middle of an answer: interrupt.py MODEL.

The conversation goes on: the second question is answered, and the program ends
with 0. Prints how many answers there were.
"""

import signal
import subprocess
import sys

command = ["vlmc", "chat", sys.argv[1], "--max-new-tokens", "400"]
options = ["--temperature", "1", "--frequency-penalty", "1"]
process = subprocess.Popen(
    command + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
)
process.stdin.write(b"Hello\n")
process.stdin.flush()
first = process.stdout.read(1)
process.send_signal(signal.SIGINT)
rest, _ = process.communicate(b"And now?\n", timeout=120)
if process.returncode != 0:
    sys.exit(f"ended with {process.returncode}")
print("answers", "some" if (first + rest).count(b"\n") >= 2 else "none")
