"""edit_config.py FOLDER KEY.KEY JSON: sets a value of config.json; null takes it away."""

import json
import sys

folder, path, value = sys.argv[1:]
name = folder + "/config.json"
with open(name) as file:
    config = json.load(file)
*outer, last = path.split(".")
inner = config
for key in outer:
    inner = inner[key]
inner[last] = json.loads(value)
if inner[last] is None:
    del inner[last]
with open(name, "w") as file:
    json.dump(config, file)
