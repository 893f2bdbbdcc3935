//===- Checkpoints.cpp - The checkpoints of the goldens -------------------===//
#include "test/e2e/Checkpoints.h"

#include "test/e2e/Command.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace vlmc::e2e {

namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Finding
//===----------------------------------------------------------------------===//

static std::vector<fs::path> list(const fs::path &folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    paths.push_back(it->path());
  EXPECT_FALSE(error) << folder << ": " << error.message();
  std::ranges::sort(paths);
  return paths;
}

static std::vector<Requests> findRequests(const fs::path &folder) {
  const std::string prefix = "requests-";
  std::vector<Requests> found;
  for (const fs::path &path : list(folder)) {
    std::string stem = path.stem().string();
    if (!stem.starts_with(prefix) || path.extension() != ".json")
      continue;
    std::string name = stem.substr(prefix.size());
    found.push_back({name, path.string(),
                     (folder / ("golden-" + name + ".safetensors")).string()});
  }
  return found;
}

std::string goldensFolder() { return VLMC_SOURCE_DIR "/test/e2e/goldens"; }

std::vector<std::string> findFamilies() {
  std::vector<std::string> families;
  for (const fs::path &path : list(goldensFolder()))
    families.push_back(path.string());
  return families;
}

std::vector<Checkpoint> findCheckpoints() {
  std::vector<Checkpoint> found;
  for (const fs::path family : findFamilies())
    for (const fs::path &folder : list(family))
      if (fs::is_directory(folder / "model"))
        found.push_back({family.filename().string(), folder.filename().string(),
                         folder.string(), findRequests(folder)});
  return found;
}

std::ostream &operator<<(std::ostream &stream, const Checkpoint &checkpoint) {
  return stream << checkpoint.family << "/" << checkpoint.name;
}

std::string testName(const testing::TestParamInfo<Checkpoint> &info) {
  std::string name = info.param.family + "_" + info.param.name;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); },
      '_');
  return name;
}

//===----------------------------------------------------------------------===//
// Compiling and running
//===----------------------------------------------------------------------===//

std::string tapsOf(const Checkpoint &checkpoint) {
  static const std::set<std::string> known = {
      "hidden_states",    "image_token_ids", "inputs_embeds",
      "qformer_features", "text_features",   "vision_features"};
  std::set<std::string> taps;
  for (const Requests &requests : checkpoint.requests) {
    Tensors golden(requests.golden);
    for (const SafetensorsEntry &entry : golden.entries()) {
      std::string value = entry.name.substr(entry.name.rfind('.') + 1);
      if (known.count(value))
        taps.insert(value);
    }
  }
  std::string joined;
  for (const std::string &tap : taps)
    joined += (joined.empty() ? "" : ",") + tap;
  return joined;
}

/// The one level that is run here; LevelsTest takes the others.
static const char *bestLevel() {
  return __builtin_cpu_supports("x86-64-v4") ? "x86-64-v4" : "x86-64-v3";
}

std::string compile(const Checkpoint &checkpoint, const Variant &variant) {
  std::string package = freshPath(checkpoint.name + ".vlm");
  std::vector<std::string> arguments{
      "compile", checkpoint.model(), "-o", package, "--target", bestLevel()};
  if (variant.isReference)
    arguments.emplace_back("--reference");
  if (!variant.taps.empty())
    arguments.insert(arguments.end(), {"--taps", variant.taps});
  Ended ended = runVlmc(arguments);
  EXPECT_EQ(ended.code, 0) << ended;
  return ended.code == 0 ? package : "";
}

Tensors runRequests(const std::string &model, const std::string &requests,
                    const std::vector<std::string> &options) {
  std::string output = freshPath("out.safetensors");
  std::vector<std::string> arguments{"run",      "--model",         model,
                                     "--inputs", requests,          "--outputs",
                                     output,     "--image-backend", "pil"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  Ended ended = runVlmc(arguments);
  EXPECT_EQ(ended.code, 0) << ended;
  return Tensors(output);
}

} // namespace vlmc::e2e
