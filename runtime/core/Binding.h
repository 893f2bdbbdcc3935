//===- Binding.h - Fits a request's tensors to an entry point -------------===//
//
// Everything about a request that can be wrong is found here, before anything
// runs: names, types, shapes, memory, integer ranges. The dynamic sizes (the
// entry's symbols) come out.
//
//   Binding binding(entry, workspace);
//   if (vlm_status_t *status = binding.bindInputs(inputs, n, Data::Needed))
//     return status;
//   binding.symbols[0] ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_BINDING_H
#define VLMC_RUNTIME_CORE_BINDING_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/core/Model.h"
#include "runtime/core/Workspace.h"
#include "runtime/vlm.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace vlmc::rt {

/// Bytes of one element; 0 for a type there is not.
size_t elementBytes(uint32_t dtype);
const char *dtypeName(uint32_t dtype);

/// Whether the tensors' memory is looked at, or their shapes alone.
enum class Data { Needed, Ignored };

class Binding {
public:
  Binding(const vlm_entry_t &entry, Workspace &workspace)
      : entry(entry), abi(*entry.abi), workspace(workspace) {}

  /// Matches the inputs by name into workspace.givenInputs and finds the
  /// symbols.
  vlm_status_t *bindInputs(const vlm_tensor_t *inputs, size_t count, Data data);
  /// Matches the wanted outputs by name into workspace.givenOutputs.
  vlm_status_t *bindOutputs(vlm_tensor_t *outputs, size_t count);

  /// Cuts off tokens that no result depends on (vlm_abi_trim): the symbol
  /// becomes smaller. Last of the binding, with Data::Needed.
  void trimTokens();
  /// Whether an input is longer in the caller's memory than the kernels read.
  bool isTrimmed(const vlm_abi_tensor &tensor) const;

  /// Size `axis` of an input or output, once the symbols are known.
  int64_t dim(const vlm_abi_tensor &tensor, uint32_t axis) const {
    int32_t symbol = tensor.symbols[axis];
    return symbol < 0 ? tensor.dims[axis] : symbols[symbol];
  }
  /// The number of elements and bytes of an input or output; false if too
  /// large to count.
  bool elements(const vlm_abi_tensor &tensor, int64_t &out) const;
  bool bytes(const vlm_abi_tensor &tensor, int64_t &out) const;
  /// Writes name, dtype, rank and dims.
  void describe(const vlm_abi_tensor &tensor, vlm_tensor_t &out) const;

  vlm_status_t *fail(const std::string &what) const;
  vlm_status_t *tooLarge() const;

  /// The value of each symbol; 0 while it is unknown.
  std::array<int64_t, VLM_ABI_MAX_SYMBOLS> symbols{};

private:
  int64_t countTokens() const;
  vlm_status_t *match(const char *kind, const vlm_abi_tensor *tensors,
                      uint32_t n, const char *name, uint32_t &index) const;
  vlm_status_t *bindShape(const vlm_abi_tensor &expected,
                          const vlm_tensor_t &given);
  vlm_status_t *bindSymbol(const vlm_abi_tensor &expected,
                           const vlm_tensor_t &given, uint32_t axis);
  vlm_status_t *checkKnown() const;
  vlm_status_t *checkMemory(const char *kind, const vlm_abi_tensor &expected,
                            const vlm_tensor_t &given) const;
  vlm_status_t *checkCache(const vlm_abi_tensor &expected,
                           const vlm_tensor_t &given) const;
  vlm_status_t *checkRanges(const vlm_abi_tensor &expected,
                            const vlm_cache_t &cache, std::string kind) const;
  const vlm_tensor_t *givenInput(const std::string &name) const;
  vlm_status_t *checkRange(const vlm_abi_tensor &expected,
                           const vlm_tensor_t &given) const;
  vlm_status_t *failTensor(const char *kind, const vlm_abi_tensor &tensor,
                           const std::string &what) const;
  std::string shape(const vlm_abi_tensor &tensor) const;

  const vlm_entry_t &entry;
  const vlm_abi_entry &abi;
  Workspace &workspace;
  /// The input that first gave each symbol its value.
  std::array<const char *, VLM_ABI_MAX_SYMBOLS> givenBy{};
  bool trimmed = false;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_BINDING_H
