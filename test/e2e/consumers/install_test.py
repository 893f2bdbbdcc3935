"""What `cmake --install` writes works wherever it stands, and so do the Debian packages."""

import os
import pathlib
import re
import shutil
import unittest

from consumers import (
    BUILD,
    CMAKE,
    SOURCE,
    ConsumerTest,
    Demo,
    Golden,
    build_program,
    compile_model,
    run,
)

# Where neither the tree nor what was built in it may be found from.
FOREIGN_PATHS = (str(SOURCE), str(BUILD))


def elf_files(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]


def loaded(file):
    """The path of each shared library that a file loads; None for one that is not found."""
    found = re.findall(r"^\s*(\S+) => (.*?)(?: \(0x\w+\))?$", run("ldd", file), re.MULTILINE)
    return {name: None if path == "not found" else path for name, path in found}


class InstallTest(ConsumerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Installed to one place, moved to another.
        run(CMAKE, "--install", BUILD, "--prefix", cls.work / "before")
        cls.tree = cls.work / "a folder/vlmc"
        cls.tree.parent.mkdir()
        (cls.work / "before").rename(cls.tree)
        cls.vlmc = cls.tree / "bin/vlmc"
        # A project of the user's own, outside the clone.
        for project in ("runtime/examples", "test/e2e/consumers/two-models"):
            shutil.copytree(SOURCE / project, cls.work / pathlib.Path(project).name)
        cls.demo = Demo()
        cls.goldens = (Golden("v5-plain"), Golden("relu-silu"))
        cls.prefix = f"-DCMAKE_PREFIX_PATH={cls.tree}"

    def compile_pair(self):
        folder = self.work / "models"
        folder.mkdir(exist_ok=True)
        for name, golden in zip(("one", "two"), self.goldens):
            package = folder / f"{name}.vlm"
            if not package.exists():
                compile_model(golden.checkpoint, package, "--reference", vlmc=self.vlmc)
        return folder

    def test_holds_what_it_should(self):
        for name in (
            "bin/vlmc",
            "bin/vlmc-halide",
            "include/vlmc/vlm.h",
            "include/vlmc/abi/vlm_abi.h",
            "lib/cmake/vlmc/vlmcConfig.cmake",
            "lib/libvlm.a",
            "lib/libvlm.so",
            "lib/libvlm_tasks.so",
            "lib/vlmc/libHalide.so",
            "share/doc/vlmc/LICENSE",
            "share/doc/vlmc/LICENSE.Halide",
            "share/doc/vlmc/interfaces.md",
            "share/doc/vlmc/ops.md",
            "share/doc/vlmc/passes.md",
        ):
            self.assertTrue((self.tree / name).is_file(), name)

    def test_knows_nothing_of_the_tree_it_came_from(self):
        for path in self.tree.rglob("*"):
            if path.suffix in (".cmake", ".h"):
                for foreign in FOREIGN_PATHS:
                    self.assertNotIn(foreign, path.read_text(), path)
        for path in elf_files(self.tree):
            dynamic = run("readelf", "--dynamic", "--wide", path)
            run_paths = re.findall(r"R(?:UN)?PATH\).*\[(.*)\]", dynamic)
            for entry in ":".join(run_paths).split(":"):
                self.assertRegex(entry, r"^(\$ORIGIN.*|/usr/lib/.*|)$", path)
            for name, library in loaded(path).items():
                self.assertIsNotNone(library, f"{path} needs {name}")
                if name.startswith(("libvlm", "libHalide")):
                    self.assertTrue(os.path.realpath(library).startswith(str(self.tree)), library)

    def test_example_in_c(self):
        package = compile_model(self.demo.checkpoint, self.work / "demo.vlm", vlmc=self.vlmc)
        folder = self.work / "build-example"
        build_program(self.work / "examples", folder, f"-DMODEL={package}", self.prefix)
        for index, picture in enumerate(self.demo.pictures[:2]):
            printed = run(folder / "classify", package, picture, *self.demo.texts)
            self.expect_percents(printed, self.demo, index)

    def try_two_models(self, name, *options):
        models = self.compile_pair()
        folder = self.work / f"build-{name}"
        packages = [f"-DMODELS_{name}={models}/{name}.vlm" for name in ("one", "two")]
        build_program(self.work / "two-models", folder, *packages, self.prefix, *options)
        one, two = self.goldens
        arguments = (models / "one.vlm", models / "two.vlm", one.pictures[0])
        printed = run(folder / "two-models", *arguments, *one.texts)
        half = printed.index(f"  {one.texts[-1]}\n") + len(one.texts[-1]) + 3
        self.expect_percents(printed[:half], one, 0)
        self.expect_percents(printed[half:], two, 0)
        return folder

    def test_program_in_cpp_and_the_models_header_in_c(self):
        folder = self.try_two_models("shared")
        self.expect_no_foreign_library(folder / "two-models", folder / "one-model")
        (one, _) = self.goldens
        printed = run(folder / "one-model", self.work / "models/one.vlm", one.pictures[0])
        values = [float(line) for line in printed.splitlines()]
        self.assertEqual(len(values), 40)
        self.assertAlmostEqual(sum(value * value for value in values), 1, places=5)

    def test_program_with_the_static_runtime(self):
        folder = self.try_two_models("static", "-DVLMC_STATIC_RUNTIME=ON")
        names = loaded(folder / "two-models")
        self.assertEqual([name for name in names if name.startswith("libvlm")], [])

    def test_find_package_tells_of_a_component_that_is_not_there(self):
        project = self.work / "component"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(p C)\n"
            "find_package(vlmc REQUIRED COMPONENTS vlm_image vlm_sound)\n"
        )
        with self.assertRaises(AssertionError) as caught:
            build_program(project, project / "build", self.prefix)
        self.assertIn("vlmc was built without vlm_sound", str(caught.exception))


class DebianTest(ConsumerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cpack = pathlib.Path(shutil.which(CMAKE)).parent / "cpack"
        run(cpack, "--config", BUILD / "CPackConfig.cmake", "-B", cls.work / "out")
        cls.packages = {path.name.split("_")[0]: path for path in (cls.work / "out").glob("*.deb")}
        for name, path in cls.packages.items():
            run("dpkg-deb", "--extract", path, cls.work / f"only-{name}")
            run("dpkg-deb", "--extract", path, cls.work / "root")

    def depends(self, name):
        fields = run("dpkg-deb", "--field", self.packages[name], "Depends")
        return {word.split()[0] for word in fields.replace("|", ",").split(",")}

    def test_there_are_two(self):
        self.assertEqual(sorted(self.packages), ["vlmc", "vlmc-runtime"])
        self.assertIn("vlmc-runtime", self.depends("vlmc"))
        for foreign in ("libllvm22", "libmlir-22", "libprotobuf32", "python3"):
            self.assertNotIn(foreign, self.depends("vlmc-runtime"))

    def test_depend_on_the_packages_of_all_they_load(self):
        for name in self.packages:
            # What they need is looked at in the root where both are.
            for only in elf_files(self.work / f"only-{name}"):
                file = self.work / "root" / only.relative_to(self.work / f"only-{name}")
                needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "--dynamic", file))
                where = loaded(file)
                for library in needed:
                    path = where.get(library)
                    if library.startswith("ld-linux"):
                        continue
                    self.assertIsNotNone(path, f"{file} needs {library}")
                    if str(self.work) not in os.path.abspath(path):
                        # By its last two names: Debian's /lib is a link that dpkg does not follow.
                        names = pathlib.Path(os.path.realpath(path)).parts[-2:]
                        owner = run("dpkg", "-S", "*/" + "/".join(names)).split(":")[0]
                        self.assertIn(owner, self.depends(name), f"{file} needs {library}")

    def test_compile_and_run(self):
        golden = Golden("v5-plain")
        vlmc = self.work / "root/usr/bin/vlmc"
        package = compile_model(golden.checkpoint, self.work / "one.vlm", "--reference", vlmc=vlmc)
        picture = golden.pictures[0]
        printed = run(vlmc, "classify", package, "--image", picture, "--labels", "a cat,a dog")
        self.assertRegex(printed, "a (cat|dog)")


if __name__ == "__main__":
    unittest.main()
