//===- Entries.h - Entry points on tensors in memory ------------*- C++ -*-===//
//
// Runs entry points of a loaded model on named tensors.
//
//   TensorMap outputs;
//   if (std::optional<Fault> fault =
//           runRows(model, "encode_image", inputs, outputs))
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_ENTRIES_H
#define VLMC_TOOLS_VLMC_ENTRIES_H

#include "runtime/abi/vlm_abi.h"
#include "tools/vlmc/Tensors.h"

namespace vlmc::tool {

/// The tables of the instruction-set level in use.
const vlm_abi_level &levelOf(const vlm_model_t *model);

/// Whether the model has that entry point.
bool hasEntry(const vlm_model_t *model, const std::string &name);
/// Whether the entry point has that input.
bool hasInput(const vlm_entry_t *entry, const std::string &name);

/// A tensor as the C interface takes it; `name` must outlive it.
vlm_tensor_t viewOf(const std::string &name, HostTensor &tensor);

/// Reads the inputs of an entry point from a safetensors file, under their own
/// names.
/// Errors: those of the file; a tensor that is no input or of another type.
std::optional<Fault> readInputs(const std::string &path,
                                const vlm_entry_t *entry, TensorMap &tensors);

/// Makes room for all outputs of a run with these inputs.
std::optional<Fault> makeOutputs(const vlm_entry_t *entry,
                                 const std::vector<vlm_tensor_t> &inputs,
                                 TensorMap &outputs);

/// Makes all outputs and runs the entry point once.
std::optional<Fault> runEntry(const vlm_entry_t *entry,
                              const std::vector<vlm_tensor_t> &inputs,
                              TensorMap &outputs);

/// Runs an entry point once and adds all of its outputs.
std::optional<Fault> runOnce(const vlm_model_t *model, const std::string &entry,
                             TensorMap &inputs, TensorMap &outputs);

/// The same for any number of rows: inputs and outputs are cut along their
/// first size into pieces that fit a cache, which changes no bit of the result.
std::optional<Fault> runRows(const vlm_model_t *model, const std::string &entry,
                             const TensorMap &inputs, TensorMap &outputs);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_ENTRIES_H
