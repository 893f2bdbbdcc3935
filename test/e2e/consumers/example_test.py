"""runtime/examples over the compiled demo checkpoint: the answer of transformers, from a program that needs little."""

import json
import re
import subprocess
import unittest

from consumers import (
    BUILD,
    GOLDENS,
    SOURCE,
    ConsumerTest,
    Demo,
    build_program,
    compile_model,
    loaded_libraries,
    read_text,
    run,
)

RUNTIME = [BUILD / f"lib/lib{name}.so" for name in ("vlm", "vlm_tasks", "vlm_image", "vlm_text")]
C_RUNTIME = re.compile(r"linux-vdso|lib(c|m|stdc\+\+|gcc_s)\.so|.*/ld-linux")
# Arithmetic on vectors of floats, which is what kernels consist of.
VECTOR_FLOATS = re.compile(r"\sv?(?:(?:add|sub|mul|div|max|min)ps|fn?m(?:add|sub)\w*[ps][sd])\s")
FLOATS = re.compile(r"\sv?(?:(?:add|sub|mul|div)[ps][sd]|fn?m(?:add|sub)\w*[ps][sd])\s")
# Whole words: std::__unguarded_linear_insert sorts, bilinearWeight() resizes.
KERNEL = re.compile(
    r"(?<![a-z])(?:gemm|linear|attention|layer_norm|conv2d|l2_normalize)(?!_insert|[a-z])",
    re.IGNORECASE,
)


def instructions(library, pattern):
    return pattern.findall(run("objdump", "--disassemble", "--no-show-raw-insn", library))


def counting_functions(library):
    """The functions of a library that do arithmetic on floats."""
    text = run("objdump", "--disassemble", "--demangle", "--no-show-raw-insn", library)
    parts = re.split(r"\n[0-9a-f]+ <(.*)>:\n", text)
    return [name for name, body in zip(parts[1::2], parts[2::2]) if FLOATS.search(body)]


def functions(library):
    """The functions of a library, C++ names in full."""
    lines = run("nm", "--demangle", library).splitlines()
    return [line.split(maxsplit=2)[2] for line in lines if re.match(r"[0-9a-f]+ [tTwW] ", line)]


class ExampleTest(ConsumerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo = Demo()
        cls.package = compile_model(cls.demo.checkpoint, cls.work / "clip.vlm")
        cls.library = next(cls.package.glob("lib/*/libclip.so"))
        options = (f"-DMODEL={cls.package}", f"-Dvlmc_DIR={BUILD}")
        build_program(SOURCE / "runtime/examples", cls.work / "example", *options)
        cls.program = cls.work / "example/classify"

    def test_classifies_as_transformers(self):
        pngs = self.demo.pngs()
        self.assertTrue(pngs)
        for index in pngs:
            printed = run(self.program, self.package, self.demo.pictures[index], *self.demo.texts)
            self.expect_percents(printed, self.demo, index)

    def test_example_is_short(self):
        lines = (SOURCE / "runtime/examples/classify.c").read_text().splitlines()
        self.assertLess(len(lines), 60)

    def test_compiler_stays_at_home(self):
        self.expect_no_foreign_library(self.program, self.library, *RUNTIME)

    def test_compiled_library_needs_nothing(self):
        self.assertIn("statically linked", run("ldd", self.library))

    def test_core_is_small_and_needs_the_c_runtime_alone(self):
        core = RUNTIME[0].resolve()
        self.assertLess(core.stat().st_size, 1 << 20)
        for name in loaded_libraries(core):
            self.assertRegex(name, C_RUNTIME)

    def test_kernels_are_in_the_compiled_library_alone(self):
        kernels = [name for name in functions(self.library) if KERNEL.search(name)]
        self.assertGreater(len(kernels), 10)
        self.assertGreater(len(instructions(self.library, VECTOR_FLOATS)), 1000)
        for library in RUNTIME:
            self.assertGreater(len(functions(library)), 20, f"{library} is stripped")
            self.assertEqual([name for name in functions(library) if KERNEL.search(name)], [])
            self.assertEqual(instructions(library, VECTOR_FLOATS), [], library)
        # The core times and compares two products of a GPU, and computes nothing.
        own = [
            name
            for name in counting_functions(RUNTIME[0])
            if not name.startswith("vlmc::rt::cuda::Products::")
        ]
        self.assertEqual(own, [])


class ConverseTest(ConsumerTest):
    """runtime/examples/converse.c, with the runtime's shared libraries and with its archives."""

    questions = ("What is in it?", 'And "this" one?')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.picture = GOLDENS / "pictures/rgb-200x150.png"
        checkpoint = GOLDENS.parent / "llava/files-mistral/model"
        cls.package = compile_model(checkpoint, cls.work / "talk.vlm", "--reference")
        for kind, static in (("static", "ON"), ("shared", "OFF")):
            options = (f"-DMODEL={cls.package}", f"-Dvlmc_DIR={BUILD}")
            static = f"-DVLMC_STATIC_RUNTIME={static}"
            build_program(SOURCE / "runtime/examples", cls.work / kind, *options, static)

    def expected(self, first):
        """What `vlmc run` answers to both questions, given the answer to the first."""

        def user(*parts):
            return {"role": "user", "content": parts}

        texts = [{"type": "text", "text": question} for question in self.questions]
        answer = {"role": "assistant", "content": [{"type": "text", "text": first}]}
        begin = user({"type": "image"}, texts[0])
        talks = {"one": [begin], "two": [begin, answer, user(texts[1])]}
        cases = [
            {"name": name, "messages": talk, "images": [str(self.picture)]}
            for name, talk in talks.items()
        ]
        requests, out = self.work / "requests.json", self.work / "out.safetensors"
        requests.write_text(json.dumps({"mode": "files", "cases": cases}))
        command = (BUILD / "bin/vlmc", "run", "--model", self.package)
        run(*command, "--inputs", requests, "--outputs", out)
        return [read_text(out, f"{name}.text") for name in talks]

    def test_converses_as_vlmc_run(self):
        printed = {}
        for kind in ("shared", "static"):
            program = self.work / kind / "converse"
            printed[kind] = run(program, self.package, self.picture, *self.questions)
        self.assertEqual(printed["shared"], printed["static"])
        (first, _) = self.expected("")
        self.assertTrue(printed["shared"].startswith(first + "\n"), printed["shared"])
        self.assertEqual(printed["shared"], "\n".join(self.expected(first)) + "\n")

    def test_what_is_loaded(self):
        names = {
            kind: loaded_libraries(self.work / kind / "converse") for kind in ("shared", "static")
        }
        self.assertIn("libvlm_tasks.so.0", names["shared"])
        self.assertFalse([name for name in names["static"] if name.startswith("libvlm")])

    def test_tells_what_is_wrong(self):
        program = self.work / "shared/converse"
        self.assertIn("usage: ", self.failure(2, program, self.package))
        self.assertIn("there.png", self.failure(1, program, self.package, "not/there.png", "?"))

    def failure(self, code, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_example_is_short(self):
        lines = (SOURCE / "runtime/examples/converse.c").read_text().splitlines()
        self.assertLess(len(lines), 80)


if __name__ == "__main__":
    unittest.main()
