//===-- LibraryProduct.cpp - kernels that are a library's product ---------===//
#include "codegen/cuda/Kernels.h"
#include "runtime/abi/vlm_abi.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

static int32_t numberOf(Value argument) {
  return static_cast<int32_t>(cast<BlockArgument>(argument).getArgNumber());
}

/// The operand that is added to `value`, the same rows of it; null: none.
static Value findResidual(Value &value) {
  auto add = value.getDefiningOp<vlm::AddOp>();
  if (!add || add.getLhs().getType() != add.getRhs().getType())
    return Value();
  for (auto [inner, other] :
       {std::pair(add.getLhs(), add.getRhs()), {add.getRhs(), add.getLhs()}})
    if (isa<BlockArgument>(other) && inner.getDefiningOp()) {
      value = inner;
      return other;
    }
  return Value();
}

/// VLM_ABI_PRODUCT_* of what `value` is, which then is what goes into it.
static std::optional<uint32_t> findActivation(Value &value) {
  auto op = value.getDefiningOp<vlm::ActivationOp>();
  if (!op)
    return VLM_ABI_PRODUCT_PLAIN;
  value = op.getInput();
  if (op.getKind() == vlm::ActivationKind::Relu)
    return VLM_ABI_PRODUCT_RELU;
  if (op.getKind() == vlm::ActivationKind::GeluTanh)
    return VLM_ABI_PRODUCT_GELU;
  return std::nullopt;
}

/// Sets the left side; false: it is no rows of 16 bits of an operand.
static bool findLeft(vlm::KernelOp kernel, const KernelPlan &plan,
                     LibraryProduct &product) {
  Value left = plan.product.anchor->getOperand(0);
  while (auto slice = left.getDefiningOp<vlm::SliceFeaturesOp>()) {
    product.leftOffset += static_cast<int64_t>(slice.getBegin());
    left = slice.getInput();
  }
  if (!isa<BlockArgument>(left) || storageOf(kernel, left) != plan.half)
    return false;
  product.left = numberOf(left);
  product.leftStride = vlm::getFeatures(left);
  // What libraries take at full speed begins at 16 bytes.
  return product.leftOffset % 8 == 0 && product.leftStride % 8 == 0;
}

std::optional<LibraryProduct> cuda::libraryProduct(vlm::KernelOp kernel,
                                                   const vlm::Size &rows) {
  KernelPlan plan = planKernel(kernel);
  const Product &made = plan.product;
  if (plan.strategy != Strategy::Gemm || !isa<vlm::LinearOp>(made.anchor) ||
      made.norm || made.isGated() || made.k % 8 || made.columns % 8)
    return std::nullopt;
  LibraryProduct product;
  product.rows = rows;
  product.columns = made.columns;
  product.depth = made.k;
  product.isBrain = plan.half == Storage::BF16;
  Value value = kernel.getYielded()[0];
  Value residual = findResidual(value);
  std::optional<uint32_t> activation = findActivation(value);
  if (!activation || value.getDefiningOp() != made.anchor ||
      (residual && *activation != VLM_ABI_PRODUCT_PLAIN) ||
      !findLeft(kernel, plan, product))
    return std::nullopt;
  product.activation = *activation;
  product.right = numberOf(made.weight());
  Value bias = made.bias();
  if (bias && storageOf(kernel, bias) != Storage::F32)
    return std::nullopt;
  Storage result = resultStorage(kernel);
  if (result != Storage::F32 && result != plan.half)
    return std::nullopt;
  if (residual && storageOf(kernel, residual) != result)
    return std::nullopt;
  // Sums along layers grow beyond f16: own stores end at +-65504, where the
  // library gives infinities.
  if (residual && result == Storage::F16)
    return std::nullopt;
  product.givesFloats = result == Storage::F32;
  product.bias = bias ? numberOf(bias) : -1;
  product.residual = residual ? numberOf(residual) : -1;
  product.result = static_cast<int32_t>(kernel.getArgumentTypes().size());
  return product;
}
