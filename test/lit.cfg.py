"""Settings of all lit tests; lit.site.cfg.py, made by CMake, says where programs are and loads this file."""

import os

import lit.formats

# lit sets these names.
config = config  # noqa: F821
lit_config = lit_config  # noqa: F821

config.name = "vlmc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "goldens", "lint", "oracle"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.vlmc_binary_dir, "test")

path = [os.path.join(config.vlmc_binary_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]]
config.environment["PATH"] = os.pathsep.join(path)
config.environment["FILECHECK_OPTS"] = "--enable-var-scope"
config.substitutions.append(("%vlmc_source", config.vlmc_source_dir))
config.substitutions.append(("%vlmc_build", config.vlmc_binary_dir))
