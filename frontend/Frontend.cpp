//===- Frontend.cpp - From a checkpoint folder to a graph -----------------===//
#include "frontend/Frontend.h"

#include "frontend/blocks/BindWeights.h"
#include "frontend/checkpoint/Checkpoint.h"
#include "frontend/checkpoint/RandomWeights.h"
#include "frontend/families/Family.h"

#include <cmath>
#include <filesystem>

namespace vlmc {

namespace fs = std::filesystem;

/// "foo" for "models/foo" and "models/foo/".
static std::string nameOf(const std::string &folder) {
  std::error_code ignored;
  fs::path path = fs::absolute(folder, ignored).lexically_normal();
  if (!path.has_filename())
    path = path.parent_path();
  return path.filename().string();
}

static Result<const Family *> chooseFamily(const std::string &file,
                                           const Json &config) {
  std::string known;
  for (std::string_view name : familyNames())
    known += (known.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  std::string expected = file +
                         ": model_type: expected a model family that "
                         "vlmc knows (" +
                         known + "), found ";
  if (!config.is_object())
    return Failure{file + ": expected an object, found " + describe(config) +
                   "; give the config.json of a checkpoint"};
  auto type = config.find("model_type");
  if (type == config.end())
    return Failure{expected + "nothing; name the family in config.json"};
  const Family *family =
      type->is_string() ? findFamily(type->get<std::string>()) : nullptr;
  if (family && family->refusal)
    return Failure{file + ": model_type: \"" + std::string(family->name) +
                   "\": " + family->refusal};
  if (!family)
    return Failure{expected + describe(*type) +
                   "; an architecture of known blocks can be written as a "
                   ".textproto"};
  return family;
}

bool isCheckpoint(const std::string &folder) {
  std::error_code ignored;
  return fs::exists(fs::path(folder) / "config.json", ignored) ||
         findFamilyByFile(folder);
}

/// The family whose own files are to be read: where there are also those of
/// transformers, these count if their weights are there.
static const Family *chooseOwnFiles(const std::string &folder) {
  std::error_code ignored;
  const Family *family = findFamilyByFile(folder);
  if (!family || !fs::exists(fs::path(folder) / "config.json", ignored))
    return family;
  return !Checkpoint::hasWeights(folder) &&
                 Checkpoint::hasWeights(folder, family->weightsFile)
             ? family
             : nullptr;
}

static std::optional<Failure> checkFolder(const std::string &folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored))
    return Failure{folder + ": no such folder; give a checkpoint folder with "
                            "config.json and model.safetensors"};
  if (!fs::is_directory(folder, ignored))
    return Failure{folder + ": expected a checkpoint folder, found a file; "
                            "give the folder that config.json is in"};
  if (!isCheckpoint(folder))
    return Failure{folder + ": expected config.json, found none; give a "
                            "checkpoint folder of transformers"};
  return std::nullopt;
}

/// Names checkpoint and fields as the user knows them.
static BindContext makeContext(const spec::ModelSpec &model,
                               const std::string &folder) {
  BindContext context;
  context.checkpoint = folder;
  if (const Family *family = findFamily(model.family()))
    context.fieldName = family->configKey;
  return context;
}

Result<spec::ModelSpec> importCheckpoint(const std::string &folder,
                                         std::vector<std::string> &warnings,
                                         const ImportOptions &options) {
  if (std::optional<Failure> fault = checkFolder(folder))
    return *fault;
  const Family *own = chooseOwnFiles(folder);
  std::string file =
      (fs::path(folder) / (own ? own->configFile : "config.json")).string();
  Result<Json> config = readJsonFile(file);
  if (!config)
    return config.takeFailure();
  Result<const Family *> family =
      own && config->is_object() ? own : chooseFamily(file, *config);
  if (!family)
    return family.takeFailure();
  ConfigLog log;
  spec::ModelSpec model =
      (*family)->read({folder, file, *config, options}, log);
  warnings.insert(warnings.end(), log.warnings.begin(), log.warnings.end());
  if (!log.errors.empty())
    return log.failure();
  model.set_name(nameOf(folder));
  if (!Checkpoint::hasWeights(folder, (*family)->weightsFile))
    return model;
  Result<std::unique_ptr<WeightSource>> weights =
      openWeights(model, folder, warnings, options);
  if (!weights)
    return weights.takeFailure();
  return model;
}

Result<std::unique_ptr<WeightSource>>
openWeights(const spec::ModelSpec &model, const std::string &folder,
            std::vector<std::string> &warnings, const ImportOptions &options) {
  if (std::optional<Failure> fault = checkSpec(model))
    return *fault;
  const Family *family = findFamily(model.family());
  Result<std::unique_ptr<Checkpoint>> weights = Checkpoint::open(
      folder, warnings, family ? family->weightsFile : nullptr);
  if (!weights)
    return weights.takeFailure();
  if (family && family->addWeights)
    if (std::optional<Failure> fault =
            family->addWeights(folder, options, **weights, warnings))
      return *fault;
  if (std::optional<Failure> fault =
          checkWeights(model, **weights, makeContext(model, folder), warnings))
    return *fault;
  return std::unique_ptr<WeightSource>(std::move(*weights));
}

std::string otherFolder(const std::string &folder,
                        const ImportOptions &options) {
  std::string file = (fs::path(folder) / "config.json").string();
  Result<Json> config = readJsonFile(file);
  if (!config)
    return "";
  Result<const Family *> family = chooseFamily(file, *config);
  return family && (*family)->otherFolder
             ? (*family)->otherFolder({folder, file, *config, options})
             : "";
}

/// Mean and deviation that keep the values of a network in a sensible range.
static RandomTensor describeRandom(const BoundWeight &weight) {
  RandomTensor tensor{weight.tensor, weight.shape};
  if (weight.shape.empty()) {
    // A temperature of 0.07, and a bias against pairs, as contrastive models
    // start with.
    tensor.mean = weight.info.name.ends_with("bias") ? -10 : 2.6592F;
    tensor.deviation = 0;
  } else if (weight.shape.size() == 1) {
    // Variances are such as a norm leaves behind it, too.
    bool isNorm = weight.info.name.ends_with(".weight") ||
                  weight.info.name.ends_with(".running_var");
    tensor.mean = isNorm ? 1 : 0;
    tensor.deviation = 0.1F;
  } else {
    double inputs = 1;
    for (size_t i = 1; i < weight.shape.size(); ++i)
      inputs *= static_cast<double>(weight.shape[i]);
    tensor.deviation = static_cast<float>(1 / std::sqrt(inputs));
  }
  return tensor;
}

std::unique_ptr<WeightSource> makeRandomWeights(const spec::ModelSpec &model,
                                                uint64_t seed) {
  std::vector<RandomTensor> tensors;
  // Without a source, binding has no faults.
  if (auto bound = bindWeights(model, nullptr))
    for (const BoundWeight &weight : *bound)
      tensors.push_back(describeRandom(weight));
  return std::make_unique<RandomWeights>(seed, tensors);
}

} // namespace vlmc
