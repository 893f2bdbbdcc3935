//===- Blocks.cpp - The list of blocks, and what they share ---------------===//
#include "frontend/blocks/Block.h"

namespace vlmc {

#define BLOCK(name) extern const Block block##name;
#include "frontend/blocks/Blocks.def"

const Block *findBlock(spec::Component::KindCase kind) {
  switch (kind) {
#define BLOCK(name)                                                            \
  case spec::Component::k##name:                                               \
    return &block##name;
#include "frontend/blocks/Blocks.def"
  default:
    return nullptr;
  }
}

void WeightList::add(const std::string &name,
                     const std::vector<WeightDim> &dims) {
  WeightInfo info;
  info.component = component;
  info.name = component + "." + name;
  for (const WeightDim &dim : dims) {
    info.shape.push_back(dim.size);
    info.fields.insert(info.fields.end(), dim.fields.begin(), dim.fields.end());
  }
  list.push_back(std::move(info));
}

void WeightList::addLinear(const std::string &name, const WeightDim &out,
                           const WeightDim &in, bool bias) {
  add(name + ".weight", {out, in});
  if (bias)
    add(name + ".bias", {out});
}

void WeightList::addNorm(const std::string &name, const WeightDim &features) {
  add(name + ".weight", {features});
  add(name + ".bias", {features});
}

void checkRange(const FaultSink &fault, std::string_view field, int64_t value,
                int64_t min, int64_t max) {
  if (value < min || value > max)
    fault(field, "expected " + std::to_string(min) + " to " +
                     std::to_string(max) + ", found " + std::to_string(value));
}

} // namespace vlmc
