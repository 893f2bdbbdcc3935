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

void cuda::emitRows(Emitter &e, cpu::KernelFrame &frame,
                    const KernelPlan &plan) {
  Gpu g(e);
  Value yielded = frame.kernel.getYielded()[0];
  int64_t features = vlm::getFeatures(yielded);
  Storage storage =
      frame.form(static_cast<unsigned>(frame.kernel.getArgumentTypes().size()))
          .storage;
  Value m = e.add(e.mul(g.block(gpu::Dimension::x), plan.threads / warpThreads),
                  g.warp());
  e.ifThen(e.less(m, frame.dims.rows(e, yielded)), [&] {
    cpu::RowEmitter rows(e, frame);
    rows.setSharedSum([&](int64_t count, auto term) {
      Value own =
          e.loop(g.lane(), e.constant(count), warpThreads,
                 {e.fconstant(e.f32, 0)}, [&](Value k, ValueRange carried) {
                   return SmallVector<Value>{e.fadd(carried[0], term(k))};
                 })[0];
      return g.sumOverWarp(own);
    });
    cpu::Row row = rows.prepare(yielded, m);
    rows.setSharedSum(nullptr);
    Value begin = e.mul(m, features);
    forOwnFeatures(g, features, [&](Value k) {
      g.storeAs(storage, row(k, e.f32, 1), frame.result(0), e.add(begin, k));
    });
  });
}
