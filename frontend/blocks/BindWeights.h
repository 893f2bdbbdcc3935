//===- BindWeights.h - Which tensor is which weight -------------*- C++ -*-===//
//
// Finds the tensor of the checkpoint for every weight of a model by the spec's
// naming rules, and checks it.
//
//   Result<std::vector<BoundWeight>> bound = bindWeights(model, &source);
//   if (!bound)
//     return bound.takeFailure();   // one line for each fault
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_BINDWEIGHTS_H
#define VLMC_FRONTEND_BLOCKS_BINDWEIGHTS_H

#include "frontend/blocks/Block.h"
#include "frontend/support/Result.h"
#include "ir/WeightSource.h"

#include <functional>
#include <optional>

namespace vlmc {

/// A weight and the tensor it is made from.
struct BoundWeight {
  WeightInfo info;
  std::string tensor;
  StoredType type = StoredType::F32;
  /// As stored: a scalar may be [] or [1]; the tensor of a part is longer.
  std::vector<int64_t> shape;
  /// Where parts is not 0: which of so many equal parts of the tensor along its
  /// first dimension the weight is.
  int64_t part = 0;
  int64_t parts = 0;
  /// Where groups is not 0: the parts are those of each of so many groups.
  int64_t groups = 0;
  /// So many of the parts, from `part` on, are the weight.
  int64_t span = 1;
  /// The tensor is the weight, a matrix, transposed.
  bool isTransposed = false;
};

/// What messages are about.
struct BindContext {
  /// The checkpoint, as the user named it.
  std::string checkpoint = "checkpoint";
  /// The name of a field where it was read: "vision_config.hidden_size of
  /// config.json". By default "hidden_size of component 'vision'".
  std::function<std::string(std::string_view component, std::string_view field)>
      fieldName;
};

/// All weights of a model, component by component.
std::vector<WeightInfo> listWeights(const spec::ModelSpec &model);

/// Binds all weights. Without a source, every weight is an f32 tensor of the
/// expected shape under the first of its names.
/// Errors: a missing tensor, another shape than expected, a type that holds no
/// weights; at most ten are told in full.
Result<std::vector<BoundWeight>> bindWeights(const spec::ModelSpec &model,
                                             const WeightSource *source,
                                             const BindContext &context = {});

/// Binds, and looks at the tensors that are left over: those inside a part that
/// the spec models are errors, others warnings, ignored ones nothing.
std::optional<Failure> checkWeights(const spec::ModelSpec &model,
                                    const WeightSource &source,
                                    const BindContext &context,
                                    std::vector<std::string> &warnings);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_BINDWEIGHTS_H
