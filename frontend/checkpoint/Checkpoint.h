//===- Checkpoint.h - The weights of a checkpoint folder --------*- C++ -*-===//
//
// The tensors of a Hugging Face folder, one file or shards with an index, as
// one WeightSource: safetensors, or where there are none those of torch.save.
// Nothing is copied: tensors point into the mapped files.
//
//   std::vector<std::string> warnings;
//   Result<std::unique_ptr<Checkpoint>> weights =
//       Checkpoint::open("/models/foo", warnings);
//   if (!weights)
//     return weights.takeFailure();
//   const WeightTensor *tensor = (*weights)->find("logit_scale");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_CHECKPOINT_H
#define VLMC_FRONTEND_CHECKPOINT_CHECKPOINT_H

#include "frontend/checkpoint/Safetensors.h"
#include "frontend/checkpoint/TorchFile.h"

#include <functional>
#include <map>
#include <memory>

namespace vlmc {

/// The weights of a folder. Immutable, usable from several threads.
class Checkpoint : public WeightSource {
public:
  /// Opens model.safetensors or, where it is absent, the shards that
  /// model.safetensors.index.json names; else pytorch_model.bin or what
  /// pytorch_model.bin.index.json names. What is ignored is told in `warnings`.
  /// A file of the name `ownName`, where one is given, comes before either.
  /// Errors: no such folder or no weights in it; a damaged file; a shard that
  /// is missing or lacks a tensor of the index; a name in two shards.
  static Result<std::unique_ptr<Checkpoint>>
  open(const std::string &folder, std::vector<std::string> &warnings,
       const char *ownName = nullptr);

  /// Whether the folder has weights that open() would take.
  static bool hasWeights(const std::string &folder,
                         const char *ownName = nullptr);

  /// Takes the tensors of another folder in, those whose names are wanted, with
  /// `prefix` before their names. A name that is there already stays as it is.
  void addAll(Checkpoint &&other, const std::string &prefix,
              const std::function<bool(std::string_view)> &isWanted);

  const WeightTensor *find(std::string_view name) const override;
  /// All names, also those of tensors that vlmc cannot read.
  std::vector<std::string> names() const override;
  void release(const WeightTensor &tensor) const override;

  /// The dtype of a tensor that is there but which vlmc cannot read
  /// ("F8_E4M3"), else "": find() has no such tensors.
  std::string_view unreadableDtype(std::string_view name) const;
  /// The file in which it is, else "".
  std::string_view unreadableFile(std::string_view name) const;

private:
  Checkpoint() = default;
  template <typename File>
  std::optional<Failure> addFile(const std::string &path);
  /// Tensor to the name of its file.
  using WeightMap = std::map<std::string, std::string, std::less<>>;
  static Result<WeightMap> readIndex(const std::string &path);
  template <typename File>
  std::optional<Failure>
  addShard(const std::string &path, const std::string &shard,
           const std::string &index, const WeightMap &weightMap);
  template <typename File>
  std::optional<Failure> addShards(const std::string &folder,
                                   const std::string &index);
  template <typename File>
  void addEntry(const File &file, const SafetensorsEntry &entry);
  template <typename File> std::vector<File> &filesOf();

  std::vector<SafetensorsFile> files;
  std::vector<TorchFile> torchFiles;
  std::map<std::string, WeightTensor, std::less<>> tensors;
  struct Unreadable {
    std::string dtype;
    std::string file;
  };
  std::map<std::string, Unreadable, std::less<>> unreadable;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_CHECKPOINT_H
