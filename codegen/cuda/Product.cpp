//===-- Product.cpp - what a matrix product of a kernel is made of --------===//
#include "codegen/cuda/Product.h"
#include <numeric>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

static bool isNorm(Operation *op) {
  return isa_and_nonnull<vlm::RmsNormOp, vlm::LayerNormOp>(op);
}

/// The first norm on the way from a product's input to memory.
static Operation *findNorm(Value value) {
  for (Operation *op = value.getDefiningOp(); op;
       op = op->getOperand(0).getDefiningOp())
    if (isNorm(op))
      return op;
  return nullptr;
}

Product Product::of(vlm::KernelOp kernel) {
  Product product;
  for (Operation &op : kernel.getBody().front())
    if (isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp>(op))
      product.anchor = &op;
  if (!product.anchor)
    return product;
  auto weight = cast<RankedTensorType>(product.weight().getType());
  product.n = weight.getDimSize(0);
  product.k = weight.getNumElements() / product.n;
  product.columns = vlm::getFeatures(kernel.getYielded()[0]);
  if (isa<vlm::LinearOp>(product.anchor))
    product.norm = findNorm(product.anchor->getOperand(0));
  return product;
}

int64_t Product::alignment() const {
  if (!isa<vlm::LinearOp>(anchor))
    return 0;
  int64_t alignment = 0;
  bool isBelowNorm = !norm;
  Value value = anchor->getOperand(0);
  for (; Operation *op = value.getDefiningOp(); value = op->getOperand(0)) {
    if (op == norm) {
      isBelowNorm = true;
    } else if (auto slice = dyn_cast<vlm::SliceFeaturesOp>(op)) {
      // A part of a row does not have the row's norm.
      if (!isBelowNorm)
        return 0;
      alignment = std::gcd(alignment, static_cast<int64_t>(slice.getBegin()));
    } else if (!isa<vlm::TakeTokensOp, vlm::SqueezeOp>(op)) {
      return 0;
    }
    alignment = std::gcd(alignment, vlm::getFeatures(op->getResult(0)));
  }
  if (cpu::formOf(value.getType()).panels)
    return 0;
  return std::gcd(alignment, vlm::getFeatures(value));
}

std::optional<MemoryRows> Product::memory(Emitter &e,
                                          const cpu::KernelFrame &frame) const {
  return memoryRows(e, frame, anchor->getOperand(0), norm);
}

void cuda::finishSum(Emitter &e, cpu::KernelFrame &frame,
                     const Product &product, Value m, Value column,
                     llvm::function_ref<Value(Value n)> sum, int64_t lanes) {
  Type type = lanes == 1 ? e.f32 : Type(VectorType::get({lanes}, e.f32));
  cpu::RowEmitter emitter(e, frame);
  emitter.setAnchor(product.anchor->getResult(0), [&](Value) -> cpu::Row {
    return [&](Value n, Type, int64_t) {
      Value x = sum(n);
      Value bias = product.bias();
      if (!bias)
        return x;
      Storage storage = frame.form(bias).storage;
      return e.fadd(x, cpu::loadStored(e, storage, type,
                                       e.at(frame.operand(bias), n,
                                            cpu::elementOf(e, storage)),
                                       lanes));
    };
  });
  Value x =
      emitter.prepare(frame.kernel.getYielded()[0], m)(column, type, lanes);
  auto result = static_cast<unsigned>(frame.kernel.getArgumentTypes().size());
  Gpu(e).storeAs(frame.form(result).storage, x, frame.result(0),
                 e.add(e.mul(m, product.columns), column));
}
