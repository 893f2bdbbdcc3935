//===- StatePickle.h - The pickle of a state dict ---------------*- C++ -*-===//
//
// Reads the pickle inside a file of torch.save: a dict of tensors, described by
// storage, offset, shape and strides. A machine of its own for the opcodes that
// such pickles have; names of classes and functions are only compared, nothing
// is imported or called.
//
//   std::vector<PickledTensor> tensors;
//   if (auto problem = readStatePickle(bytes, tensors))
//     return Failure{path + ": data.pkl: " + *problem};
//
// Source: pickletools.py of Python, torch._utils of PyTorch.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_STATEPICKLE_H
#define VLMC_FRONTEND_CHECKPOINT_STATEPICKLE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc {

/// A tensor of the dict: elements of a storage, from `offset` on.
struct PickledTensor {
  std::string name;
  std::string storageType; ///< "FloatStorage"
  std::string key;         ///< of the storage
  int64_t offset = 0;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

/// Returns what is wrong with the pickle, or nothing. Entries of the dict that
/// are no tensors are left out; where there is no tensor, those of an inner
/// dict "state_dict", "model" or "module" are taken.
std::optional<std::string> readStatePickle(std::string_view bytes,
                                           std::vector<PickledTensor> &tensors);

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_STATEPICKLE_H
