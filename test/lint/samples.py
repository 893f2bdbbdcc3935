"""What each check must let pass, and what it must find.

SAMPLES: check name to (good files, [(bad files laid over them, text of the one finding)]).
"""

_PASSES = """class Vlm_Pass<string flag> : Pass<flag, "::mlir::ModuleOp">;
def FuseQKVPass : Vlm_Pass<"vlm-fuse-qkv"> {
  let summary = "Join three products";
  let description = [{
    Before and after.
  }];
}
"""
_PASS_FILES = {
    "passes/Passes.td": _PASSES,
    "passes/FuseQKV.cpp": "// here\n",
    "test/passes/fuse-qkv.mlir": "// RUN: vlmc-opt %s | FileCheck %s\n// CHECK: x\n",
}
_OP = """def Vlm_AddOp : Vlm_Op<"add", [Pure]> {
  let summary = "a + b";
  let description = [{
    Adds.
  }];
}
"""
_LIT = """// RUN: vlmc-opt %s -split-input-file | FileCheck %s
// RUN: vlmc-opt %s --other | FileCheck %s --check-prefix=OTHER
// CHECK-LABEL: func @a
// CHECK-NEXT:  return
// OTHER-COUNT-2: vlm.add
"""
_FAMILY = {
    "frontend/families/Families.def": "VLMC_FAMILY(Clip)\n",
    "frontend/families/Clip.cpp": 'int clip; const char *name = "clip";\n',
    "runtime/a.cpp": '// as Clip does\nint clipToRange; const char *s = "clip the range";\n',
    "test/frontend/a.cpp": "int x = Clip;\n",
}
_README = "# ir\n\nIt holds\nthe\ndialect.\n"

SAMPLES = {
    "include-column": (
        {
            "ir/Vlm/VlmOps.h": '#include "ir/Target.h"\n#include "mlir/IR/Builders.h"\n',
            "ir/Target.h": "// one\n",
            "codegen/a.cpp": '#include "runtime/abi/vlm_abi.h"\n#include "passes/Passes.h"\n',
            "tools/vlmc/vlmc.cpp": '#include "codegen/a.h"\n',
        },
        [
            ({"ir/a.cpp": '#include "passes/Passes.h"\n'}, "ir/ includes 'passes/Passes.h'"),
            (
                {"codegen/b.cpp": '#include "runtime/core/Pool.h"\n'},
                "codegen/ includes 'runtime/core/Pool.h'",
            ),
            (
                {"runtime/b.cpp": '#include "frontend/spec/model_spec.pb.h"\n'},
                "runtime/ includes 'frontend/spec",
            ),
            (
                {"runtime/b.cpp": "#include <llvm/ADT/StringRef.h>\n"},
                "runtime/ includes 'llvm/ADT/StringRef.h'",
            ),
            (
                {"ir/Vlm/VlmOps.td": 'include "passes/Passes.td"\n'},
                "ir/Vlm/VlmOps.td:1: ir/ includes",
            ),
            ({"ir/Vlm/VlmOps.cpp": '#include "VlmOps.h"\n'}, 'from the root: "ir/Vlm/VlmOps.h"'),
        ],
    ),
    "sorted-lists": (
        {
            "a/Things.def": "#ifndef X\n#endif\nX(Alpha)\nX(Beta)\n",
            "CMakeLists.txt": 'add_library(a\n  Alpha.cpp\n  beta.cpp # here\n  "${X}/Alpha.cpp"\n  LINK\n  Alpha.cpp)\n',
        },
        [
            (
                {"a/Things.def": "X(Beta)\nX(Alpha)\n"},
                "a/Things.def:2: 'X(Alpha)' stands after 'X(Beta)'",
            ),
            ({"a/Things.def": "X(Beta)\nX(Beta)\n"}, "stands twice"),
            (
                {"CMakeLists.txt": "add_library(a\n  Beta.cpp\n  Alpha.cpp)\n"},
                "CMakeLists.txt:3: 'Alpha.cpp' stands after",
            ),
        ],
    ),
    "family-names": (
        _FAMILY,
        [
            ({"codegen/a.cpp": "void f(ClipSpec &spec);\n"}, "ClipSpec names the family Clip"),
            ({"codegen/a.cpp": "void lowerClipTower();\n"}, "lowerClipTower names the family Clip"),
            (
                {"tools/a.cpp": 'if (kind == "clip_vision_model") return;\n'},
                '"clip_vision_model" names the family',
            ),
            (
                {"passes/a.cpp": 'if (kind == "CLIPModel") return;\n'},
                '"CLIPModel" names the family',
            ),
        ],
    ),
    "header-opening": (
        {"ir/A.h": "//===- A.h\n#pragma once\n", "runtime/b.h": "/* b.h: here. */\n"},
        [({"ir/B.h": "#pragma once\n"}, "ir/B.h:1: expected a comment")],
    ),
    "pass-complete": (
        _PASS_FILES,
        [
            (
                {"passes/Passes.td": _PASSES.replace('"Join three products"', '""')},
                "FuseQKVPass: no summary",
            ),
            (
                {"passes/Passes.td": _PASSES.replace("Before and after.", "")},
                "FuseQKVPass: no description",
            ),
            (
                {"passes/Passes.td": _PASSES.replace("vlm-fuse-qkv", "vlm-fuse-q-k-v")},
                "expected 'vlm-fuse-qkv'",
            ),
            (
                {"passes/Passes.td": _PASSES.replace("}\n", "  let constructor = f;\n}\n", 1)},
                "has a constructor",
            ),
            (
                {"passes/Passes.td": _PASSES + _PASSES.replace("FuseQKVPass", "Quantise")},
                "a name that ends in Pass",
            ),
            (
                {"passes/FuseQKV.cpp": "llvm::cl::opt<bool> fast;\n"},
                "passes/FuseQKV.cpp:1: a cl::opt",
            ),
            (
                {
                    "passes/Passes.td": _PASSES
                    + _PASSES.replace("FuseQKV", "Tile").replace("fuse-qkv", "tile"),
                    "test/passes/tile.mlir": "",
                },
                "TilePass: no passes/Tile.cpp",
            ),
            (
                {
                    "passes/Passes.td": _PASSES
                    + _PASSES.replace("FuseQKV", "Tile").replace("fuse-qkv", "tile"),
                    "passes/Tile.cpp": "",
                },
                "TilePass: no test/passes/tile.mlir",
            ),
        ],
    ),
    "op-docs": (
        {
            "ir/Vlm/VlmOps.td": _OP,
            "test/ir/ops.mlir": "vlm.add\n",
            "ir/Vlm/VlmTypes.td": 'def Vlm_Type : TypeDef<"T"> {}\n',
        },
        [
            ({"ir/Vlm/VlmOps.td": _OP.replace("let summary", "let note")}, "Vlm_AddOp: no summary"),
            ({"ir/Vlm/VlmOps.td": _OP.replace("    Adds.\n", "")}, "Vlm_AddOp: no description"),
            ({"test/ir/ops.mlir": "vlm.add_two\n"}, "Vlm_AddOp: no test in test/ir has vlm.add"),
        ],
    ),
    "check-colon": (
        {"test/ir/a.mlir": _LIT},
        [
            ({"test/ir/b.mlir": _LIT + "// CHECK-NEXT return\n"}, "'CHECK-NEXT' without its colon"),
            ({"test/ir/b.mlir": _LIT + "// OTHER vlm.add\n"}, "'OTHER' without its colon"),
            ({"test/ir/b.mlir": _LIT + "// CHECK-NXT: return\n"}, "'CHECK-NXT' is no directive"),
        ],
    ),
    "test-has-check": (
        {
            "test/ir/a.mlir": _LIT,
            "test/ir/b.mlir": "// RUN: vlmc-opt %s -verify-diagnostics\n// expected-error@+1 {{no}}\n",
            "test/ir/Inputs/c.mlir": "module {}\n",
        },
        [
            ({"test/ir/d.mlir": "module {}\n"}, "no RUN line"),
            ({"test/ir/d.mlir": "// RUN: vlmc-opt %s\nmodule {}\n"}, "nothing is checked"),
            (
                {"test/ir/d.mlir": "// RUN: vlmc-opt %s | FileCheck %s\n"},
                "FileCheck is run with 'CHECK'",
            ),
            (
                {
                    "test/ir/d.mlir": _LIT
                    + "// RUN: vlmc-opt %s | FileCheck %s --check-prefixes=CHECK,THIRD\n"
                },
                "FileCheck is run with 'THIRD'",
            ),
            (
                {"test/ir/d.mlir": "// RUN: vlmc-opt %s -verify-diagnostics\n"},
                "no diagnostic is expected",
            ),
        ],
    ),
    "whitespace": (
        {"a.cpp": "int a;\n", "test/e2e/goldens/merges.txt": "a \tb"},
        [
            ({"a.cpp": "int a;\n\tint b;\n"}, "a.cpp:2: a tab"),
            ({"a.cpp": "int a; \n"}, "a.cpp:1: white space at the end"),
            ({"a.cpp": "int a;\r\n"}, "a.cpp:1: white space at the end"),
            ({"a.cpp": "int a;"}, "expected exactly one newline"),
            ({"a.cpp": "int a;\n\n"}, "expected exactly one newline"),
        ],
    ),
    "leftovers": (
        {"a.sh": "mktemp XXXX" + "XX\n"},
        [({"a.cpp": "// TO" + "DO: later\n"}, "a.cpp:1: 'TO" + "DO' is left")],
    ),
    "machine-paths": (
        {
            "a.sh": 'x="${TMPDIR:-/tmp}/y" /usr/lib/llvm-22/bin/lit\n',
            "b.md": "https://example.org/home/page\n",
        },
        [
            ({"a.md": "see /ho" + "me/me/vlmc\n"}, "'/ho" + "me/me' exists on one machine"),
            ({"test/e2e/goldens/a.json": '{"p": "/ro' + 'ot/x"}\n'}, "exists on one machine"),
            ({"a.sh": "cd /tm" + "p/vlmc\n"}, "exists on one machine"),
        ],
    ),
    "large-files": (
        {"a.bin": "x"},
        [({"b.bin": "x" * 6_000_001}, "b.bin: 6000001 bytes; expected at most 6000000")],
    ),
    "long-files": (
        {"a.cpp": "// Long because it is one table.\n" + "int a;\n" * 1000},
        [({"b.cpp": "int a;\n" * 1001}, "b.cpp: 1002 lines; split it by idea")],
    ),
    "folder-readme": (
        {"ir/README.md": _README, ".ci/run": "", "a.txt": ""},
        [
            ({"passes/a.cpp": ""}, "passes/README.md: missing"),
            ({"passes/README.md": "# passes\n"}, "passes/README.md: too short"),
        ],
    ),
    "file-names": (
        {
            "ir/Vlm/VlmOps.cpp": "",
            "tools/vlmc-opt/vlmc-opt.cpp": "",
            "test/passes/fuse-qkv.mlir": "",
            "runtime/examples/classify.cpp": "",
            "a_b.py": "",
        },
        [
            ({"passes/fuse_qkv.cpp": ""}, "passes/fuse_qkv.cpp: expected a name in CamelCase"),
            ({"test/passes/FuseQKV.mlir": ""}, "expected a name in kebab-case"),
            ({"models/a.b-2.textproto": ""}, "expected a name in kebab-case"),
            ({"tools/scripts/a-b.py": ""}, "expected a name in snake_case"),
        ],
    ),
    "doc-links": (
        {
            "README.md": "[a](docs/a.md#two-words) [b](https://example.org) `[c](none)`\n",
            "docs/a.md": "# Two words\n[up](../README.md) [here](#two-words)\n",
        },
        [
            ({"docs/b.md": "x\n[gone](c.md)\n"}, "docs/b.md:2: the link 'c.md' leads nowhere"),
            ({"docs/b.md": "[gone](a.md#three)\n"}, "'docs/a.md' has no heading for '#three'"),
        ],
    ),
    "doc-paths": (
        {
            "README.md": "`passes/Fold.{h,cpp}` `passes/NAME.cpp` `a/b` `Fold.h` `build/release/x.md` `.c` `passes/*.cpp`\n",
            "passes/README.md": "`Fold.cpp` `../passes/Fold.h` `passes/Fold.h`\n```\n`passes/None.h`\n```\n",
            "passes/Fold.h": "",
            "passes/Fold.cpp": "",
        },
        [
            (
                {"docs/a.md": "x\n`passes/Unfold.cpp`\n"},
                "docs/a.md:2: there is no 'passes/Unfold.cpp'",
            ),
            ({"docs/a.md": "`passes/Fold.{h,md}`\n"}, "there is no 'passes/Fold.md'"),
            ({"docs/a.md": "`Unfold.cpp`\n"}, "there is no 'Unfold.cpp'"),
            ({"passes/fold/README.md": "`../Unfold.cpp`\n"}, "there is no '../Unfold.cpp'"),
        ],
    ),
}
