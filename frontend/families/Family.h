//===- Family.h - What a family reader is -----------------------*- C++ -*-===//
//
// A family turns the config of a checkpoint folder into a ModelSpec of known
// blocks. It is one file that defines a Family, and a line in Families.def.
//
//   const Family *family = findFamily("foo");
//   ConfigLog log;
//   spec::ModelSpec model = family->read({folder, file, json}, log);
//   if (!log.errors.empty())
//     return log.failure();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_FAMILY_H
#define VLMC_FRONTEND_FAMILIES_FAMILY_H

#include "frontend/checkpoint/Config.h"
#include "frontend/families/ImportOptions.h"
#include "frontend/spec/model_spec.pb.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc {

/// A checkpoint folder and its config.json, an object.
struct CheckpointConfig {
  std::string folder;
  std::string file;
  const Json &json;
  ImportOptions options = {};
};

class Checkpoint;

/// A model family.
struct Family {
  /// Its `model_type` in config.json, and `family` in specs.
  std::string_view name;
  /// Reads the config. Where the log has errors afterwards, the result is
  /// meaningless. The spec's name is set by the caller.
  spec::ModelSpec (*read)(const CheckpointConfig &config, ConfigLog &log);
  /// The key of config.json that a field of a component comes from, for
  /// messages: ("vision", "hidden_size") is "vision_config.hidden_size".
  std::string (*configKey)(std::string_view component, std::string_view field);
  /// Of a family that is known by name only: why it is refused and what to do.
  /// Then there are no functions.
  const char *refusal = nullptr;
  /// The file that holds the config, and that of the weights, where they have
  /// names of their own.
  const char *configFile = nullptr;
  const char *weightsFile = nullptr;
  /// Of a family whose checkpoints may leave parts to another folder: adds the
  /// tensors of that one to `weights`. May be null.
  std::optional<Failure> (*addWeights)(
      const std::string &folder, const ImportOptions &options,
      Checkpoint &weights, std::vector<std::string> &warnings) = nullptr;
  /// That other folder of a checkpoint; "": there is none. May be null.
  std::string (*otherFolder)(const CheckpointConfig &config) = nullptr;
};

/// The family of that name, or null.
const Family *findFamily(std::string_view name);

/// The family whose config lies in the folder under a name of its own, or null.
const Family *findFamilyByFile(const std::string &folder);

/// The names of all families that are not refused, sorted.
std::vector<std::string_view> familyNames();

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_FAMILY_H
