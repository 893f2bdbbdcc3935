//===-- PackWeights.cpp - give each weight the layout its kernels read ----===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Weights.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include <map>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_PACKWEIGHTSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "pack-weights";
static constexpr llvm::StringLiteral panel16 = "f32.panel16";
static constexpr llvm::StringLiteral paddedVector = "f32.vector";
static constexpr llvm::StringLiteral rows = "f32.rows";

/// The layout in which an op of an optimised kernel reads a weight.
static StringRef layoutOf(OpOperand &use) {
  Operation *op = use.getOwner();
  unsigned operand = use.getOperandNumber();
  auto type = cast<RankedTensorType>(use.get().getType());
  if (isa<LinearOp, PatchEmbedOp>(op) && operand == 1)
    return panel16;
  if (isa<LinearOp, PatchEmbedOp, LayerNormOp, AddOp>(op) && operand > 0 &&
      type.getRank() == 1)
    return paddedVector;
  return rows;
}

/// The layout of a kernel's weight argument.
static FailureOr<StringRef> layoutOf(KernelOp kernel, BlockArgument argument) {
  if (kernel.getStrategy() == "reference")
    return StringRef(rows);
  StringRef layout;
  for (OpOperand &use : argument.getUses()) {
    StringRef here = layoutOf(use);
    if (!layout.empty() && layout != here)
      return kernel.emitOpError()
             << "argument " << argument.getArgNumber()
             << " is read in two layouts, " << layout << " and " << here
             << "; pass the weight twice";
    layout = here;
  }
  return layout.empty() ? StringRef(rows) : layout;
}

static RankedTensorType withLayout(Type type, StringRef layout) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType(),
                               LayoutAttr::get(type.getContext(), layout));
}

static bool isPacked(Type type) {
  return cast<RankedTensorType>(type).getEncoding() != nullptr;
}

namespace {
struct PackWeights : vlmc::impl::PackWeightsPassBase<PackWeights> {
  void runOnOperation() override {
    llvm::StringMap<SmallVector<CallOp>> calls;
    getOperation().walk(
        [&](CallOp call) { calls[call.getCallee()].push_back(call); });
    WeightTable weights(getOperation());
    for (auto kernel : getOperation().getOps<KernelOp>())
      if (failed(chooseLayouts(kernel, calls[kernel.getSymName()], weights)))
        return signalPassFailure();
    for (auto &[weight, layouts] : layoutsOf)
      packWeight(weight, layouts.getArrayRef());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      replaceGets(entry);
  }

private:
  /// The layouts in which each weight is read, in the order of the kernels.
  llvm::MapVector<WeightOp, llvm::SetVector<StringRef>> layoutsOf;
  /// The packed weight for a weight's name and layout.
  std::map<std::pair<std::string, std::string>, WeightOp> packed;
  /// The operands of calls that read weights, with the layout.
  llvm::MapVector<OpOperand *, StringRef> readers;

  /// Sets the types of a kernel's weight arguments and notes what its calls
  /// have to give.
  LogicalResult chooseLayouts(KernelOp kernel, ArrayRef<CallOp> calls,
                              const WeightTable &weights) {
    SmallVector<Type> types(kernel.getArgumentTypes());
    for (BlockArgument argument : kernel.getBody().getArguments()) {
      unsigned i = argument.getArgNumber();
      auto isWeight = [&](CallOp call) {
        return call.getInputs()[i].getDefiningOp<GetWeightOp>() != nullptr;
      };
      if (calls.empty() || llvm::none_of(calls, isWeight) || isPacked(types[i]))
        continue;
      if (!llvm::all_of(calls, isWeight))
        return kernel.emitOpError()
               << "argument " << i
               << " is a weight in some calls and a value in others; run "
                  "--vlm-dedupe-kernels on kernels of their own";
      FailureOr<StringRef> layout = layoutOf(kernel, argument);
      if (failed(layout))
        return failure();
      types[i] = withLayout(types[i], *layout);
      argument.setType(types[i]);
      for (CallOp call : calls) {
        layoutsOf[weights.find(call.getInputs()[i])].insert(*layout);
        readers[&call->getOpOperand(i)] = *layout;
      }
    }
    kernel.setFunctionType(
        FunctionType::get(kernel.getContext(), types, kernel.getResultTypes()));
    return success();
  }

  /// Packs a weight, and makes another one for each further layout.
  void packWeight(WeightOp weight, ArrayRef<StringRef> layouts) {
    std::string name = weight.getSymName().str();
    RecipeAttr recipe = weight.getRecipe();
    auto pack = [&](WeightOp op, StringRef layout) {
      op.setRecipeAttr(RecipeAttr::pack(layout, recipe));
      op.setType(withLayout(recipe.getType(), layout));
      packed[{name, layout.str()}] = op;
    };
    pack(weight, layouts.front());
    OpBuilder builder(weight->getContext());
    builder.setInsertionPointAfter(weight);
    for (StringRef layout : layouts.drop_front()) {
      auto copy = cast<WeightOp>(builder.clone(*weight));
      copy.setSymName(uniqueName(name + "." + layout.split('.').second.str()));
      pack(copy, layout);
      int64_t bytes = recipe.getType().getNumElements() *
                      recipe.getType().getElementTypeBitWidth() / 8;
      reportAnalysis(copy, passName) << remark::add(
          "weight '{0}' is stored a second time as {1}: {2} bytes more", name,
          layout, bytes);
    }
  }

  std::string uniqueName(std::string name) {
    while (SymbolTable::lookupSymbolIn(getOperation(), name))
      name += "'";
    return name;
  }

  /// Lets the calls of an entry read the packed weights.
  void replaceGets(func::FuncOp entry) {
    llvm::DenseMap<Operation *, Value> gets;
    for (auto call : entry.getOps<CallOp>())
      for (OpOperand &operand : call->getOpOperands()) {
        auto it = readers.find(&operand);
        if (it == readers.end())
          continue;
        auto old = operand.get().getDefiningOp<GetWeightOp>();
        WeightOp weight = packed[{old.getWeight().str(), it->second.str()}];
        Value &value = gets[weight];
        OpBuilder builder(old);
        if (!value)
          value = getWeight(builder, old.getLoc(), weight);
        operand.set(value);
      }
    for (auto get : llvm::make_early_inc_range(entry.getOps<GetWeightOp>()))
      if (get.use_empty())
        get.erase();
  }
};
} // namespace
