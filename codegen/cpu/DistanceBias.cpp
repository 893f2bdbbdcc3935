//===- DistanceBias.cpp - What attention adds by distance -----------------===//
#include "codegen/cpu/DistanceBias.h"
#include "passes/Weights.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

/// Copies of the first and of the last element: lanes of the widest vector.
static constexpr int64_t around = panelColumns;

DistanceBias::DistanceBias(Emitter &e, Value table)
    : e(e), table(table), count(vlm::getFeatures(table)) {}

int64_t DistanceBias::floats() const { return packedBiasFloats(count); }

void DistanceBias::pack(KernelFrame &frame, Value head, Value target) const {
  Value row = e.at(frame.operand(table), e.mul(head, count));
  auto scaled = [&](Value x, Type type) {
    return e.fmul(x, e.fconstant(type, 1.44269504088896341));
  };
  Value middle = e.at(target, around);
  RowEmitter(e, frame).forFeatures(
      count, [&](Value d, Type type, int64_t valid) {
        Value x = e.loadMasked(e.vector, e.at(row, d), valid);
        e.storeMasked(scaled(x, type), e.at(middle, d), valid);
      });
  for (auto [from, to] : {std::pair<int64_t, int64_t>(0, 0),
                          std::pair(count - 1, around + count)}) {
    Value x = scaled(e.load(e.f32, e.at(row, from)), e.f32);
    for (int64_t lane = 0; lane < around; lane += e.lanes())
      e.store(e.broadcast(e.vector, x), e.at(target, to + lane));
  }
}

Value DistanceBias::load(Value packed, Value distance) const {
  Value first = e.add(distance, count / 2 + around);
  Value last = e.constant(count + 2 * around - e.lanes());
  first = e.max(e.constant(0), e.min(first, last));
  return e.load(e.vector, e.at(packed, first));
}
