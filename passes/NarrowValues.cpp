//===-- NarrowValues.cpp - what lies between a GPU's kernels, in 16 bits --===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include <map>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_NARROWVALUESPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "narrow-values";

/// The 16 bits of the matrices, or "f32" where there are none.
static StringRef findStorage(ModuleOp module) {
  StringRef storage = "f32";
  for (auto weight : module.getOps<WeightOp>()) {
    auto layout = dyn_cast_or_null<LayoutAttr>(
        cast<RankedTensorType>(weight.getType()).getEncoding());
    if (layout && layout.getStorage() == "bf16")
      return "bf16";
    if (layout && layout.getStorage() == "f16")
      storage = "f16";
  }
  return storage;
}

/// Whether a kernel's results want all the digits of f32.
static bool isExact(KernelOp kernel) {
  return llvm::all_of(kernel.getYielded(), [](Value value) {
    return isa_and_nonnull<RopeTableOp, GroupMomentsOp>(value.getDefiningOp());
  });
}

/// Whether a value of a kernel is the input of one of these ops, or rows of it
/// are.
template <typename... Ops> static bool isReadBy(Value value) {
  return llvm::any_of(value.getUses(), [](OpOperand &use) {
    Operation *op = use.getOwner();
    if (isa<TakeTokensOp, SliceTokensOp, SqueezeOp>(op))
      return isReadBy<Ops...>(op->getResult(0));
    return isa<Ops...>(op) && use.getOperandNumber() == 0;
  });
}

/// What a norm of whole rows by their mean square reads: the sums along the
/// layers of a decoder, whose values may be beyond 65504, where f16 ends.
static bool isReadByWideNorm(Value value) {
  if (!isReadBy<RmsNormOp>(value))
    return false;
  auto norms = cast<BlockArgument>(value).getOwner()->getOps<RmsNormOp>();
  return llvm::any_of(norms, [&](RmsNormOp norm) {
    return getFeatures(norm.getWeight()) == getFeatures(value);
  });
}

namespace {
struct NarrowValues : vlmc::impl::NarrowValuesPassBase<NarrowValues> {
  void runOnOperation() override {
    storage = findStorage(getOperation());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      for (auto call : entry.getOps<CallOp>())
        callVariant(call);
    reportAnalysis(getOperation(), passName)
        << remark::add("{0} of {1} values between kernels lie in memory as {2}",
                       narrow, values, storage);
    if (wide)
      reportAnalysis(getOperation(), passName) << remark::add(
          "{0} values stay f32 that norms by the mean square read: sums along "
          "a decoder's layers may be beyond 65504, where f16 ends",
          wide);
  }

private:
  StringRef storage;
  int64_t values = 0, narrow = 0, wide = 0;
  /// The kernel that has a list of storages, for a callee's name.
  std::map<std::pair<std::string, std::string>, KernelOp> variants;

  KernelOp find(CallOp call) {
    return SymbolTable::lookupNearestSymbolFrom<KernelOp>(call,
                                                          call.getCalleeAttr());
  }

  /// How a value of an entry lies in memory; "": as its type says.
  StringRef storageOf(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    if (!type.getElementType().isF32() || type.getEncoding())
      return "";
    auto call = value.getDefiningOp<CallOp>();
    if (!call)
      return "f32";
    bool isOutput = llvm::any_of(value.getUsers(), [](Operation *user) {
      return isa<func::ReturnOp>(user);
    });
    if (isOutput || exact.contains(call) ||
        isReadIn(value, isReadBy<LeastFeatureOp>))
      return "f32";
    return storage == "f16" && isReadIn(value, isReadByWideNorm) ? "f32"
                                                                 : storage;
  }

  /// Whether a kernel that a value is passed to reads it so.
  bool isReadIn(Value value, bool (*isRead)(Value)) {
    return llvm::any_of(value.getUses(), [&](OpOperand &use) {
      auto call = dyn_cast<CallOp>(use.getOwner());
      return call &&
             isRead(find(call).getBody().getArgument(use.getOperandNumber()));
    });
  }

  void callVariant(CallOp call) {
    KernelOp kernel = find(call);
    if (isExact(kernel))
      exact.insert(call);
    SmallVector<StringRef> list;
    for (Value value : call.getInputs())
      list.push_back(storageOf(value));
    for (Value value : call.getResults()) {
      list.push_back(storageOf(value));
      values += 1;
      narrow += list.back() != "" && list.back() != "f32";
      wide += storage == "f16" && list.back() == "f32" &&
              isReadIn(value, isReadByWideNorm);
    }
    ArrayAttr storages = Builder(&getContext()).getStrArrayAttr(list);
    std::string name = call.getCallee().str();
    auto [it, isNew] =
        variants.try_emplace({name, llvm::join(list, ",")}, kernel);
    if (isNew)
      it->second = makeVariant(kernel, storages);
    call.setCallee(it->second.getSymName());
  }

  /// The kernel itself for the first list of storages, then copies of it.
  KernelOp makeVariant(KernelOp kernel, ArrayAttr storages) {
    NamedAttrList tiles(kernel.getTilesAttr());
    if (tiles.get("storage")) {
      OpBuilder builder(kernel->getContext());
      builder.setInsertionPointAfter(kernel);
      auto copy = cast<KernelOp>(builder.clone(*kernel));
      std::string name = kernel.getSymName().str();
      for (int i = 2; SymbolTable::lookupSymbolIn(getOperation(), name); ++i)
        name = (kernel.getSymName() + "_v" + Twine(i)).str();
      copy.setSymName(name);
      kernel = copy;
    }
    tiles.set("storage", storages);
    kernel.setTilesAttr(tiles.getDictionary(&getContext()));
    return kernel;
  }

  llvm::DenseSet<Operation *> exact; ///< calls of exact kernels
};
} // namespace
