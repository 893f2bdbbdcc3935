//===-- Rows.cpp - row-wise ops, a warp for each row ----------------------===//
#include "codegen/cuda/Kernels.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

/// Calls `body(k)` for the features of a row that are this lane's.
static void forOwnFeatures(Gpu &g, int64_t features,
                           llvm::function_ref<void(Value)> body) {
  g.e.loop(g.lane(), g.e.constant(features), warpThreads, body);
}

/// Rows of `value`, stored one behind the other at `base`.
static void emitRowsOf(Emitter &e, cpu::KernelFrame &frame, int64_t threads,
                       Value value, Storage storage, Value base) {
  Gpu g(e);
  int64_t features = vlm::getFeatures(value);
  Value m =
      e.add(e.mul(g.block(gpu::Dimension::x), threads / warpThreads), g.warp());
  e.ifThen(e.less(m, frame.dims.rows(e, value)), [&] {
    cpu::RowEmitter rows(e, frame);
    rows.setSharedSum([&](int64_t count, auto term) {
      Value own =
          e.loop(g.lane(), e.constant(count), warpThreads,
                 {e.fconstant(e.f32, 0)}, [&](Value k, ValueRange carried) {
                   return SmallVector<Value>{e.fadd(carried[0], term(k))};
                 })[0];
      return g.sumOverWarp(own);
    });
    cpu::Row row = rows.prepare(value, m);
    rows.setSharedSum(nullptr);
    Value begin = e.mul(m, features);
    forOwnFeatures(g, features, [&](Value k) {
      g.storeAs(storage, row(k, e.f32, 1), base, e.add(begin, k));
    });
  });
}

void cuda::emitRows(Emitter &e, cpu::KernelFrame &frame,
                    const KernelPlan &plan) {
  auto result = static_cast<unsigned>(frame.kernel.getArgumentTypes().size());
  emitRowsOf(e, frame, plan.threads, frame.kernel.getYielded()[0],
             frame.form(result).storage, frame.result(0));
}

void cuda::emitNormPass(Emitter &e, cpu::KernelFrame &frame,
                        const KernelPlan &plan) {
  emitRowsOf(e, frame, plan.threads, plan.product.anchor->getOperand(0),
             plan.half, frame.temporary(0));
}
