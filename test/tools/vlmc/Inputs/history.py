"""Requests with the conversation of chat.test: history.py FILE, the answers."""

import json
import sys
from pathlib import Path

first = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[0]


def said(role, *parts):
    return {"role": role, "content": list(parts)}


def text(words):
    return {"type": "text", "text": words}


def image(path):
    return {"type": "image", "path": path}


messages = [
    said("user", image("cat.png"), text("What is it?")),
    said("assistant", text(first)),
    said("user", image("dog.jpg"), text("And this ?")),
]
case = {"name": "a", "messages": messages}
print(json.dumps({"mode": "files", "cases": [case]}))
