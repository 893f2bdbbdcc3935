"""The cache of compiled models: many programs at once, its size, what `vlmc cache` tells and removes."""

import fcntl
import json
import time
import unittest

from support import CLIP, FaultTest

# Their packages are of about the same size.
MODELS = [CLIP / name / "model" for name in ("v5-plain", "relu-silu", "v4-old-eos")]


class CacheTest(FaultTest):
    def embed(self, model, *options):
        """Arguments that have the cache compile and use a model."""
        self.outputs = getattr(self, "outputs", 0) + 1
        output = self.work / f"{self.outputs}.safetensors"
        return ["embed", model, "--reference", "--text", "a cat", "-o", output, *options]

    def use(self, model, *options, **more):
        return self.vlmc(*self.embed(model, *options), **more)

    def listed(self):
        return json.loads(self.vlmc("cache", "list", "--json")[0])

    def checkpoints(self):
        """Of the models in the cache, the latest used first."""
        return [entry["checkpoint"] for entry in self.listed()["models"]]

    def hold(self, checkpoint):
        """Locks an entry as a program that uses its model does; until the file is closed."""
        (key,) = (e["key"] for e in self.listed()["models"] if e["checkpoint"] == str(checkpoint))
        lock = (self.cache / key / "lock").open()
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock

    def age(self):
        """Makes sure that the next use is told apart from the last."""
        time.sleep(1.1)

    def test_empty(self):
        self.assertEqual(
            self.vlmc("cache", "list")[0], f"       0 B  in 0 models in {self.cache}\n"
        )
        self.assertEqual(self.listed(), {"folder": str(self.cache), "bytes": 0, "models": []})
        self.assertEqual(self.vlmc("cache", "clean")[0], "removed 0 models, 0 B; kept 0, 0 B\n")
        self.assertFalse(self.cache.exists())

    def test_list_and_clean(self):
        self.use(MODELS[0])
        self.age()
        self.use(MODELS[1])
        listed = self.listed()
        self.assertEqual(
            [e["checkpoint"] for e in listed["models"]], [str(MODELS[1]), str(MODELS[0])]
        )
        for entry in listed["models"]:
            self.assertEqual(entry["name"], "model")
            self.assertEqual(entry["options"], ["--reference"])
            self.assertFalse(entry["in_use"])
            self.assertLess(abs(entry["last_used"] - time.time()), 600)
            self.assertGreater(entry["bytes"], 100_000)
        self.assertEqual(listed["bytes"], sum(entry["bytes"] for entry in listed["models"]))
        table = self.vlmc("cache", "list")[0].splitlines()
        self.assertRegex(
            table[0],
            rf"^ *[0-9.]+ KiB  20\d\d-\d\d-\d\d \d\d:\d\d          {MODELS[1]} --reference$",
        )
        self.assertRegex(table[2], rf"^ *[0-9.]+ (KiB|MiB)  in 2 models in {self.cache}$")

        cleaned = json.loads(self.vlmc("cache", "clean", "--json")[0])
        self.assertEqual(len(cleaned["removed"]), 2)
        self.assertEqual(cleaned["removed_bytes"], listed["bytes"])
        self.assertEqual((cleaned["kept"], cleaned["kept_bytes"]), ([], 0))
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_least_recently_used_goes_first(self):
        self.use(MODELS[0])
        size = self.listed()["bytes"]
        self.age()
        self.use(MODELS[1])
        self.age()
        self.use(MODELS[0])
        self.age()
        # Room for two and a half: the second was not used for the longest time.
        self.use(MODELS[2], "--cache-size", str(size * 5 // 2))
        self.assertEqual(self.checkpoints(), [str(MODELS[2]), str(MODELS[0])])
        self.age()
        # The same by the environment.
        self.use(MODELS[1], env={"VLMC_CACHE_SIZE": str(size * 3 // 2)})
        self.assertEqual(self.checkpoints(), [str(MODELS[1])])

    def test_what_is_in_use_stays(self):
        self.use(MODELS[0])
        with self.hold(MODELS[0]):
            self.age()
            _, err = self.use(MODELS[1], "--cache-size", "1K")
            self.assertRegex(
                err,
                rf"^vlmc: warning: {self.cache}: the cache of compiled models holds .*, all in use, "
                r"and may hold 1.0 KiB; give more with --cache-size\n",
            )
            self.assertEqual([e["in_use"] for e in self.listed()["models"]], [False, True])
            self.assertIn("  in use  ", self.vlmc("cache", "list")[0])
            out, _ = self.vlmc("cache", "clean")
            self.assertRegex(out, r"^removed 1 model, .*; kept 1, ")
            self.assertEqual(self.checkpoints(), [str(MODELS[0])])
        self.vlmc("cache", "clean")
        self.assertEqual(self.checkpoints(), [])

    def test_clean_to_a_size(self):
        for model in MODELS[:2]:
            self.use(model)
            self.age()
        size = self.listed()["models"][0]["bytes"]
        self.vlmc("cache", "clean", "--cache-size", str(size))
        self.assertEqual(self.checkpoints(), [str(MODELS[1])])

    def test_many_at_once_compile_once(self):
        programs = [self.start(*self.embed(MODELS[0])) for _ in range(6)]
        for program in programs:
            self.finish(program)
        (entry,) = self.listed()["models"]
        inside = sorted(path.name for path in (self.cache / entry["key"]).iterdir())
        self.assertEqual(inside, ["lock", "model.vlm", "origin.json"])
        outputs = {path.read_bytes() for path in self.work.glob("*.safetensors")}
        self.assertEqual(len(outputs), 1)

    def test_cleaning_harms_nobody(self):
        for _ in range(3):
            programs = [self.start(*self.embed(model)) for model in MODELS[:2] * 2]
            while any(program.poll() is None for program in programs):
                self.vlmc("cache", "clean")
            for program in programs:
                self.finish(program)
        self.assertEqual(len({p.read_bytes() for p in self.work.glob("*.safetensors")}), 2)

    def test_damaged_model_is_compiled_again(self):
        self.use(MODELS[0])
        (weights,) = self.cache.glob("*/model.vlm/model.weights")
        weights.write_bytes(weights.read_bytes()[:-1])
        _, err = self.use(MODELS[0])
        self.assertIn("compiling it again", err)
        _, err = self.use(MODELS[0])
        self.assertEqual(err, "")

    def test_what_a_killed_program_left_is_removed(self):
        self.use(MODELS[0])
        (key,) = (entry["key"] for entry in self.listed()["models"])
        (self.cache / key / "model.vlm").rename(self.cache / key / ".model.vlm.tmp-12345678")
        self.use(MODELS[0])
        inside = sorted(path.name for path in (self.cache / key).iterdir())
        self.assertEqual(inside, ["lock", "model.vlm", "origin.json"])

    def test_what_is_not_of_the_cache_stays(self):
        self.cache.mkdir()
        (self.cache / "mine").mkdir()
        (self.cache / "mine/file").touch()
        self.vlmc("cache", "clean")
        self.assertTrue((self.cache / "mine/file").exists())

    def test_sizes_are_checked(self):
        for arguments, options in (
            (self.embed(MODELS[0], "--cache-size", "many"), {}),
            (["cache", "clean", "--cache-size", "-1"], {}),
            (["cache"], {}),
        ):
            out, err = self.vlmc(*arguments, code=2, **options)
            self.assertEqual(out, "")
            self.assertTrue(err.startswith("vlmc: error: "), err)
        _, err = self.vlmc("cache", "clean", "--cache-size", "-1", code=2)
        self.assertIn("expected a size such as 500M or 20G, found '-1'", err)

    def test_folder_that_cannot_be_used(self):
        self.cache.write_text("a file")
        _, err = self.use(MODELS[0], code=1)
        self.assertRegex(
            err,
            rf"^vlmc: error: {self.cache}/[0-9a-f]+: the cache of compiled models cannot be used: "
            r"Not a directory; choose another folder with --cache-dir\n$",
        )


if __name__ == "__main__":
    unittest.main()
