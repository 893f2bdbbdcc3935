"""`vlmc compile --static`, and two models in one process: static, shared, loaded while running, and mixed."""

import filecmp
import unittest

from consumers import (
    BUILD,
    SOURCE,
    ConsumerTest,
    Golden,
    build_program,
    compile_model,
    loaded_libraries,
    run,
)

ARCHIVE = "lib/*/lib{}.a"
SHARED = "lib/*/lib{}.so"
# What reference kernels call.
LIBC = {"erff", "exp", "expf", "memcpy", "memset", "powf", "sqrtf", "tanhf"}


class StaticTest(ConsumerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.goldens = {"one": Golden("v5-plain"), "two": Golden("relu-silu")}
        cls.shared = {}
        cls.static = {}
        for name, golden in cls.goldens.items():
            for packages, options in ((cls.shared, ()), (cls.static, ("--static",))):
                folder = cls.work / f"packages{''.join(options)}"
                folder.mkdir(exist_ok=True)
                package = folder / f"{name}.vlm"
                # Optimised code in one archive; reference kernels, which call libm, are made in a tenth of the time.
                kernels = () if options and name == "one" else ("--reference",)
                packages[name] = compile_model(golden.checkpoint, package, *options, *kernels)

    def try_pair(self, one, two, linked, *options):
        """Builds two-models with packages `one` and `two`, of which those in `linked` are linked in, and runs it."""
        folder = self.work / self.id()
        links = [f"-DLINK_{name}=ON" for name in linked]
        models = (f"-DMODELS_one={one}", f"-DMODELS_two={two}", f"-Dvlmc_DIR={BUILD}")
        project = SOURCE / "test/e2e/consumers/two-models"
        build_program(project, folder, *models, *links, *options)
        program = folder / "two-models"
        arguments = [
            package / f"{name}.weights" if name in linked else package
            for name, package in (("one", one), ("two", two))
        ]
        first, second = self.goldens["one"], self.goldens["two"]
        self.assertEqual((first.pictures, first.texts), (second.pictures, second.texts))
        for index, picture in enumerate(first.pictures):
            lines = run(program, *arguments, picture, *first.texts)
            half = lines.index(f"  {first.texts[-1]}\n") + len(first.texts[-1]) + 3
            self.expect_percents(lines[:half], first, index)
            self.expect_percents(lines[half:], second, index)
        return [name for name in loaded_libraries(program) if "vlm" in name or "lib" in name]

    def expect_loaded(self, libraries, *expected):
        ours = {name for name in libraries if name.startswith(("libvlm", "libone", "libtwo"))}
        self.assertEqual(ours, set(expected))

    def test_archive_takes_the_place_of_the_shared_library(self):
        for name, package in self.static.items():
            (archive,) = package.glob(ARCHIVE.format(name))
            self.assertEqual(list(package.glob(SHARED.format(name))), [])
            self.assertEqual(sorted(path.name for path in archive.parent.iterdir()), [archive.name])
            manifest = (package / "manifest.textproto").read_text()
            self.assertIn(f'name: "{archive.relative_to(package)}"', manifest)
            self.assertIn('options: "--static"', manifest)
        weights = [packages["two"] / "two.weights" for packages in (self.shared, self.static)]
        self.assertTrue(filecmp.cmp(*weights, False), "weights differ")

    def test_archive_defines_one_global_symbol(self):
        for name, package in self.static.items():
            (archive,) = package.glob(ARCHIVE.format(name))
            lines = run("nm", "--extern-only", archive).splitlines()
            symbols = [line.split()[-2:] for line in lines if line and not line.endswith(":")]
            imports = [symbol for kind, symbol in symbols if kind == "U"]
            self.assertLessEqual(set(imports), set() if name == "one" else LIBC)
            exports = [symbol for kind, symbol in symbols if kind != "U"]
            self.assertEqual(exports, [f"{name}_vlm_model"])

    def test_archive_is_the_same_each_time(self):
        first = self.static["two"]
        options = ("--static", "--reference")
        again = compile_model(self.goldens["two"].checkpoint, self.work / "two.vlm", *options)
        for path in sorted(first.rglob("*")):
            if path.is_file():
                other = again / path.relative_to(first)
                self.assertTrue(filecmp.cmp(path, other, False), f"{path.name} differs")

    def test_static_package_cannot_be_loaded(self):
        package = self.static["one"]
        command = [BUILD / "bin/vlmc", "inspect", package]
        with self.assertRaises(AssertionError) as caught:
            run(*command)
        self.assertIn(
            f"vlmc: error: compiled model '{package}': it holds the archive libone.a, which was compiled "
            "with --static; link it into the program and load it with vlm_model_load_linked(), or "
            "compile the model without --static",
            str(caught.exception),
        )

    def test_static_and_static(self):
        """All in one file: only the system's libraries are loaded."""
        libraries = self.try_pair(
            self.static["one"], self.static["two"], ["one", "two"], "-DVLMC_STATIC_RUNTIME=ON"
        )
        self.expect_loaded(libraries)

    def test_shared_and_shared(self):
        libraries = self.try_pair(self.shared["one"], self.shared["two"], ["one", "two"])
        self.assertLessEqual({"libone.so", "libtwo.so", "libvlm.so.0"}, set(libraries))

    def test_loaded_and_loaded(self):
        libraries = self.try_pair(self.shared["one"], self.shared["two"], [])
        self.assertFalse({"libone.so", "libtwo.so"} & set(libraries))

    def test_static_and_shared(self):
        libraries = self.try_pair(self.static["one"], self.shared["two"], ["one", "two"])
        self.assertNotIn("libone.so", libraries)
        self.assertIn("libtwo.so", libraries)

    def test_static_and_loaded_with_the_static_runtime(self):
        libraries = self.try_pair(
            self.static["one"], self.shared["two"], ["one"], "-DVLMC_STATIC_RUNTIME=ON"
        )
        self.expect_loaded(libraries)


if __name__ == "__main__":
    unittest.main()
