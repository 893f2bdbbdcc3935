//===- Epilogue.cpp - what a product's kernel does to its sums ------------===//
//
// A function of its own, which all products call by address: it is short beside
// the product and long as code.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

class EpilogueGenerator {
public:
  EpilogueGenerator(Emitter &e, vlm::KernelOp kernel, Operation *anchor,
                    bool edge)
      : e(e), kernel(kernel), anchor(anchor), edge(edge),
        n(cast<RankedTensorType>(anchor->getOperand(1).getType())
              .getDimSize(0)) {}

  /// Bias, activation, residual and the like on the sums of a tile, which are
  /// in the first-level cache.
  void emit(ValueRange a) {
    KernelFrame frame(e, kernel, a[0]);
    RowEmitter emitter(e, frame);
    Value row = a[2], column = a[3], columns = a[4], source, at;
    Value bias = anchor->getNumOperands() > 2
                     ? e.at(frame.operand(anchor->getOperand(2)), column)
                     : Value();
    int64_t c = 0;
    emitter.setAnchor(anchor->getResult(0), [&](Value) -> Row {
      return [&](Value, Type, int64_t) {
        auto here = [&](Value base) {
          return e.load(e.vector, e.at(e.at(base, at), c * e.lanes()));
        };
        Value sum = here(source);
        return bias ? e.fadd(sum, here(bias)) : sum;
      };
    });
    e.loop(e.constant(0), a[1], 1, [&](Value i) {
      source = e.at(a[5], e.mul(i, columns));
      Value out = e.at(a[6], e.mul(i, n));
      Row finished = emitter.prepare(kernel.getYielded()[0], e.add(row, i));
      e.loop(e.constant(0), columns, panelColumns, [&](Value panel) {
        at = panel;
        for (c = 0; c < panelColumns / e.lanes(); ++c) {
          int64_t valid = validLanes(c);
          if (!valid)
            continue;
          Value feature = e.add(e.add(column, at), c * e.lanes());
          e.storeMasked(finished(feature, e.vector, valid),
                        e.at(e.at(out, at), c * e.lanes()), valid);
        }
      });
    });
  }

private:
  Emitter &e;
  vlm::KernelOp kernel;
  Operation *anchor;
  bool edge;
  int64_t n;

  /// How many lanes of vector `c` of a panel count.
  int64_t validLanes(int64_t c) const {
    int64_t left = n % panelColumns - c * e.lanes();
    return edge ? std::clamp<int64_t>(left, 0, e.lanes()) : e.lanes();
  }
};

} // namespace

SmallVector<Type> cpu::epilogueArguments(Emitter &e) {
  return {e.ptr, e.i64, e.i64, e.i64, e.i64, e.ptr, e.ptr};
}

Value cpu::ensureEpilogue(Emitter &e, vlm::KernelOp kernel, Operation *anchor,
                          StringRef prefix, bool edge) {
  std::string name =
      (prefix + kernel.getSymName() + (edge ? "_epilogue_edge" : "_epilogue"))
          .str();
  e.ensure(name, epilogueArguments(e), [&](ValueRange a) {
    EpilogueGenerator(e, kernel, anchor, edge).emit(a);
  });
  return e.address(name, epilogueArguments(e));
}
