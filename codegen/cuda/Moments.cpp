//===-- Moments.cpp - mean and deviation of groups, a block for each ------===//
#include "codegen/cuda/Kernels.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

/// The sum of what the block's threads have, which all of them get. Warps meet
/// in the shared memory's first floats.
static Value sumOverBlock(Gpu &g, Value own, int64_t threads) {
  Emitter &e = g.e;
  int64_t warps = threads / warpThreads;
  Value sum = g.sumOverWarp(own);
  e.ifThen(e.equal(g.lane(), e.constant(0)),
           [&] { g.store(sum, g.sharedAt(e.mul(g.warp(), 4)), 4); });
  g.barrier();
  Value total = e.fconstant(e.f32, 0);
  for (int64_t warp = 0; warp < warps; ++warp)
    total = e.fadd(total, g.load(e.f32, g.sharedAt(e.constant(4 * warp)), 4));
  g.barrier(); // the next sum takes the same place
  return total;
}

/// A block's group of a picture's channels: its mean, then one over its
/// deviation, in two passes.
void cuda::emitMoments(Emitter &e, cpu::KernelFrame &frame,
                       const KernelPlan &plan) {
  Gpu g(e);
  Value yielded = frame.kernel.getYielded()[0];
  auto op = cast<vlm::GroupMomentsOp>(yielded.getDefiningOp());
  int64_t groups = op.getGroups(), width = vlm::getFeatures(op.getInput());
  int64_t channels = width / groups;
  Storage storage = frame.form(op.getInput()).storage;
  Value row = g.block(gpu::Dimension::x);
  Value pixels = frame.dims.dim(op.getInput(), 1);
  Value first = e.mul(e.div(row, groups), pixels);
  Value begin = e.mul(e.rem(row, groups), channels);
  Value elements = e.mul(pixels, channels);
  Value count = arith::SIToFPOp::create(e.b, e.loc, e.f32, elements);
  auto meanOfAll = [&](function_ref<Value(Value)> term) {
    auto addNext = [&](Value i, ValueRange carried) {
      Value pixel = e.add(first, e.div(i, channels));
      Value at = e.add(e.mul(pixel, width), e.add(begin, e.rem(i, channels)));
      Value x = cpu::loadStored(
          e, storage, e.f32,
          e.at(frame.operand(op.getInput()), at, cpu::elementOf(e, storage)),
          1);
      return SmallVector<Value>{e.fadd(carried[0], term(x))};
    };
    Value own = e.loop(g.thread(), elements, plan.threads,
                       {e.fconstant(e.f32, 0)}, addNext)[0];
    return e.fdiv(sumOverBlock(g, own, plan.threads), count);
  };
  Value mean = meanOfAll([](Value x) { return x; });
  Value variance = meanOfAll([&](Value x) {
    Value difference = e.fsub(x, mean);
    return e.fmul(difference, difference);
  });
  Value epsilon = e.fconstant(e.f32, op.getEpsilon().convertToDouble());
  Value inverse =
      e.fdiv(e.fconstant(e.f32, 1), e.sqrt(e.fadd(variance, epsilon)));
  auto result = static_cast<unsigned>(frame.kernel.getArgumentTypes().size());
  e.ifThen(e.equal(g.thread(), e.constant(0)), [&] {
    Value at = e.mul(row, 2);
    Storage kept = frame.form(result).storage;
    g.storeAs(kept, mean, frame.result(0), at);
    g.storeAs(kept, inverse, frame.result(0), e.add(at, 1));
  });
}
