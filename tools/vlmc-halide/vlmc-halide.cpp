//===- vlmc-halide.cpp - Writes the image pipelines of a package ----------===//
//
// The only program that links Halide. vlmc calls it; see
// codegen/halide/Halide.h.
//
//===----------------------------------------------------------------------===//
#include "codegen/halide/ImagePipelines.h"

#include <cctype>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <string>
#include <sys/prctl.h>

namespace {
struct Options {
  std::string target, prefix, folder;
};
} // namespace

static constexpr const char *usage =
    "usage: vlmc-halide --target LEVEL --prefix NAME -o FOLDER\n"
    "\n"
    "Writes FOLDER/NAME_image_{resize_rows,resize_columns,finish}.o, the "
    "image\n"
    "pipelines of a compiled model. LEVEL: x86-64-v2, x86-64-v3, x86-64-v4 or\n"
    "aarch64, with or without +FEATURE.\n";

static int fail(const std::string &message) {
  std::cerr << "vlmc-halide: " << message << "\n";
  return 1;
}

static bool isIdentifier(const std::string &name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])))
    return false;
  for (unsigned char c : name)
    if (!std::isalnum(c) && c != '_')
      return false;
  return true;
}

/// Fills in the options; a message if they are wrong.
static std::string parse(int argc, char **argv, Options &options) {
  for (int i = 1; i < argc; i += 2) {
    std::string flag = argv[i];
    std::string *value = flag == "--target"   ? &options.target
                         : flag == "--prefix" ? &options.prefix
                         : flag == "-o"       ? &options.folder
                                              : nullptr;
    if (!value)
      return "unknown argument '" + flag + "'; see --help";
    if (i + 1 == argc)
      return flag + ": expected a value, found none";
    *value = argv[i + 1];
  }
  if (!isIdentifier(options.prefix))
    return "--prefix: expected a C identifier, found '" + options.prefix + "'";
  if (!std::filesystem::is_directory(options.folder))
    return "-o: expected a folder that exists, found '" + options.folder + "'";
  return "";
}

int main(int argc, char **argv) {
  // Nobody waits for what is written for a vlmc that was killed.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc == 2 && std::string(argv[1]) == "--help") {
    std::cout << usage;
    return 0;
  }
  // Halide and the standard library throw; nothing leaves this block.
  try {
    Options options;
    std::string problem = parse(argc, argv, options);
    if (!problem.empty())
      return fail(problem);
    auto target = vlmc::halideTarget(options.target);
    if (!target)
      return fail("--target: expected x86-64-v2, x86-64-v3, x86-64-v4 or "
                  "aarch64, found '" +
                  options.target + "'");
    vlmc::writeImagePipelines(*target, options.prefix, options.folder);
    return 0;
  } catch (const std::exception &error) {
    return fail(error.what());
  }
}
