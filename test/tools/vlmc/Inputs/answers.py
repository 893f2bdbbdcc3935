"""Tells what a line of `vlmc generate --json` says, and checks its logprobs."""

import json
import sys
from pathlib import Path

told = json.loads(Path(sys.argv[1]).read_text())
answers = told["answers"]
ends = " ".join(answer["end"] for answer in answers)
lengths = {len(answer["tokens"]) for answer in answers}
print(
    f"{len(answers)} answers, ends {ends}, {lengths.pop()} tokens each, "
    f"{len(told['prompt'])} of the prompt"
)
assert not lengths
for answer in answers:
    for token in answer["tokens"]:
        first, second = token["likeliest"]
        assert first["id"] == token["id"]
        assert first["logprob"] == token["logprob"] <= 0
        assert second["logprob"] <= first["logprob"]
assert "logprob" not in told["prompt"][0]
for token in told["prompt"][1:]:
    assert token["logprob"] <= token["likeliest"][0]["logprob"] <= 0
print("the likeliest tokens were taken, probabilities of at most 1")
stats = told["stats"]
print("stats", *(f"{key} {stats[key]}" for key in ("prompt_tokens", "new_tokens", "pictures")))
