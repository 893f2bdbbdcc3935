//===- Block.h - What a block of the spec is --------------------*- C++ -*-===//
//
// A block turns one kind of component of a ModelSpec into ops: it checks the
// message, lists the weights it needs and builds the component's entry points.
// It is one file that defines a Block, and a line in Blocks.def.
//
//   const Block *block = findBlock(component.kind_case());
//   WeightList weights(component.name());
//   block->listWeights(component, weights);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_BLOCK_H
#define VLMC_FRONTEND_BLOCKS_BLOCK_H

#include "frontend/spec/model_spec.pb.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc {

class GraphBuilder;

/// One dimension of a weight, and the fields of the component that decide it.
struct WeightDim {
  int64_t size;
  std::vector<std::string_view> fields;
};

/// A weight that a component needs, as checkpoints store it.
struct WeightInfo {
  std::string component;
  /// Canonical: "vision.layers.0.attention.query.weight".
  std::string name;
  std::vector<int64_t> shape;
  /// The fields that decide the shape, for messages.
  std::vector<std::string_view> fields;
};

/// Gathers the weights of a component.
class WeightList {
public:
  explicit WeightList(std::string component)
      : component(std::move(component)) {}

  /// Adds COMPONENT.NAME. No dimensions mean a scalar, which files hold with
  /// the shape [] or [1].
  void add(const std::string &name, const std::vector<WeightDim> &dims);
  /// Adds NAME.weight [out, in] and, where wanted, NAME.bias [out].
  void addLinear(const std::string &name, const WeightDim &out,
                 const WeightDim &in, bool bias = true);
  /// Adds NAME.weight and NAME.bias [features].
  void addNorm(const std::string &name, const WeightDim &features);

  std::vector<WeightInfo> take() { return std::move(list); }

private:
  std::string component;
  std::vector<WeightInfo> list;
};

/// Takes the message of a fault in a component, such as a field out of range.
/// The field's name comes first.
using FaultSink =
    std::function<void(std::string_view field, const std::string &message)>;

/// One kind of component.
struct Block {
  /// Checks the component by itself and against the others that it names. Other
  /// functions are called only for components without faults.
  void (*check)(const spec::ModelSpec &model, const spec::Component &component,
                const FaultSink &fault);
  void (*listWeights)(const spec::Component &component, WeightList &weights);
  /// The values inside that can be made outputs, in the order of the data.
  std::vector<std::string> (*listTaps)(const spec::Component &component);
  void (*build)(const spec::ModelSpec &model, const spec::Component &component,
                GraphBuilder &builder);
};

/// The block that builds such components, or null.
const Block *findBlock(spec::Component::KindCase kind);

/// Tells fields that are not within [min, max].
void checkRange(const FaultSink &fault, std::string_view field, int64_t value,
                int64_t min, int64_t max);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_BLOCK_H
