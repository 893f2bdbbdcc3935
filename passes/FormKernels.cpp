//===-- FormKernels.cpp - outline each group to a kernel ------------------===//
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Groups.h"
#include "passes/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FORMKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

/// The part of a kernel's name that an op adds.
static std::string nameOf(Operation &op) {
  return llvm::TypeSwitch<Operation *, std::string>(&op)
      .Case([](ActivationOp activation) {
        return stringifyActivationKind(activation.getKind()).str();
      })
      .Case([](LayerNormOp) { return "norm"; })
      .Case([](RmsNormOp) { return "norm"; })
      .Case([](TakeTokensOp) { return "take"; })
      .Case([](PrependTokensOp) { return "prepend"; })
      .Case<SliceTokensOp, SqueezeOp, SliceFeaturesOp>([](auto) { return ""; })
      .Default([](Operation *other) {
        return other->getName().stripDialect().str();
      });
}

/// The sizes that tell apart kernels of the same ops.
static std::string sizesOf(GroupOp group) {
  auto shapeOf = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getShape();
  };
  Operation *anchor = getAnchorOp(group.getBody().front());
  if (auto linear = dyn_cast_or_null<LinearOp>(anchor))
    return std::to_string(shapeOf(linear.getWeight())[1]) + "x" +
           std::to_string(shapeOf(linear.getWeight())[0]);
  if (auto patches = dyn_cast_or_null<PatchEmbedOp>(anchor))
    return std::to_string(shapeOf(patches.getWeight())[2]) + "_" +
           std::to_string(shapeOf(patches.getWeight())[0]);
  if (auto conv = dyn_cast_or_null<Conv2dOp>(anchor)) {
    ArrayRef<int64_t> weight = shapeOf(conv.getWeight());
    return std::to_string(weight[1]) + "_" + std::to_string(weight[3]) + "x" +
           std::to_string(weight[0]);
  }
  for (Operation &op : group.getBody().front())
    if (auto conv = dyn_cast<DepthwiseConv2dOp>(op)) {
      ArrayRef<int64_t> weight = shapeOf(conv.getWeight());
      return std::to_string(weight[0]) + "_" + std::to_string(weight[2]);
    }
  if (auto attention = dyn_cast_or_null<AttentionOp>(anchor))
    return std::to_string(attention.getNumHeads()) + "x" +
           std::to_string(getFeatures(attention.getQuery()) /
                          attention.getNumHeads());
  if (auto attention = dyn_cast_or_null<CachedAttentionOp>(anchor))
    return std::to_string(attention.getNumHeads()) + "x" +
           std::to_string(shapeOf(attention.getCache())[2]);
  return "";
}

static std::string kernelName(GroupOp group) {
  std::string name;
  auto append = [&](const std::string &part) {
    if (!part.empty())
      name += (name.empty() ? "" : "_") + part;
  };
  for (Operation &op : group.getBody().front().without_terminator())
    append(nameOf(op));
  if (name.empty())
    name = "copy";
  append(sizesOf(group));
  return name;
}

/// Makes the group's region a kernel at the module's end and the group a call.
static void outline(GroupOp group, SymbolTable &symbols) {
  OpBuilder builder(group);
  auto type = builder.getFunctionType(group.getInputs().getTypes(),
                                      group.getResultTypes());
  auto kernel = KernelOp::create(
      builder, group.getLoc(), builder.getStringAttr(kernelName(group)),
      TypeAttr::get(type),
      AnchorKindAttr::get(builder.getContext(), group.getAnchor()),
      /*strategy=*/StringAttr(), /*tiles=*/DictionaryAttr(),
      /*arg_attrs=*/ArrayAttr(), /*res_attrs=*/ArrayAttr());
  kernel.getBody().takeBody(group.getBody());
  kernel.getBody().walk([](Operation *op) { op->removeAttr(names::label); });
  kernel->remove();
  symbols.insert(kernel);
  auto call = CallOp::create(
      builder, group.getLoc(), group.getResultTypes(), kernel.getSymName(),
      group.getInputs(), group->getAttrOfType<StringAttr>(names::label),
      /*slots=*/DenseI64ArrayAttr(),
      /*temps=*/DenseI64ArrayAttr(), /*scratch=*/SizeAttr());
  group.replaceAllUsesWith(call.getResults());
  group.erase();
}

struct FormKernels : vlmc::impl::FormKernelsPassBase<FormKernels> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto entry : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      for (GroupOp group : llvm::to_vector(entry.getOps<GroupOp>()))
        outline(group, symbols);
  }
};
