//===-- PackWeights.cpp - give each weight the layout its kernels read ----===//
#include "ir/Vlm/VlmSize.h"
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
static constexpr llvm::StringLiteral panel16 = "panel16";
static constexpr llvm::StringLiteral winograd16 = "winograd16";
static constexpr llvm::StringLiteral paddedVector = "vector";
static constexpr llvm::StringLiteral rows = "rows";

/// The form in which an op of an optimised kernel reads a weight.
static StringRef formOf(OpOperand &use) {
  Operation *op = use.getOwner();
  unsigned operand = use.getOperandNumber();
  auto type = cast<RankedTensorType>(use.get().getType());
  if (isa<LinearOp, PatchEmbedOp, Conv2dOp>(op) && operand == 1)
    return panel16;
  if (isa<LinearOp, PatchEmbedOp, Conv2dOp, LayerNormOp, AddOp>(op) &&
      operand > 0 &&
      type.getRank() == 1)
    return paddedVector;
  return rows;
}

/// The form of a kernel's weight argument.
static FailureOr<StringRef> formOf(KernelOp kernel, BlockArgument argument) {
  if (kernel.getStrategy() == "reference")
    return StringRef(rows);
  StringRef form;
  for (OpOperand &use : argument.getUses()) {
    StringRef here = formOf(use);
    if (kernel.getStrategy() == "winograd" && here == panel16)
      here = winograd16;
    if (!form.empty() && form != here)
      return kernel.emitOpError()
             << "argument " << argument.getArgNumber()
             << " is read in two layouts, " << form << " and " << here
             << "; pass the weight twice";
    form = here;
  }
  return form.empty() ? StringRef(rows) : form;
}

/// Whether an argument is a table of embeddings and nothing else, which may be
/// read from panels and in 16 bits.
static bool isTable(KernelOp kernel, BlockArgument argument) {
  return kernel.getStrategy() != "reference" && !argument.use_empty() &&
         llvm::all_of(argument.getUses(), [](OpOperand &use) {
           return isa<EmbeddingOp>(use.getOwner()) &&
                  use.getOperandNumber() == 1;
         });
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
  using PackWeightsPassBase::PackWeightsPassBase;

  void runOnOperation() override {
    constexpr StringLiteral known[] = {"auto", "f32", "bf16", "f16"};
    if (!llvm::is_contained(known, StringRef(weights.getValue()))) {
      getOperation().emitError()
          << "weights cannot be stored as '" << weights.getValue()
          << "'; there are auto, f32, bf16 and f16";
      return signalPassFailure();
    }
    llvm::StringMap<SmallVector<CallOp>> calls;
    getOperation().walk(
        [&](CallOp call) { calls[call.getCallee()].push_back(call); });
    WeightTable table(getOperation());
    hasBf16 = llvm::any_of(getOperation().getOps<WeightOp>(), [](WeightOp op) {
      return getExactType(op.getRecipe()).isBF16();
    });
    // Tables of embeddings come last: they take what products have chosen.
    for (bool tables : {false, true})
      for (auto kernel : getOperation().getOps<KernelOp>())
        if (failed(chooseLayouts(kernel, calls[kernel.getSymName()], table,
                                 tables)))
          return signalPassFailure();
    for (auto &[weight, layouts] : layoutsOf)
      packWeight(weight, layouts.getArrayRef());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      replaceGets(entry);
  }

private:
  /// The layouts in which each weight is read, in the order of the kernels.
  llvm::MapVector<WeightOp, llvm::SetVector<StringAttr>> layoutsOf;
  /// The packed weight for a weight's name and layout.
  std::map<std::pair<std::string, std::string>, WeightOp> packed;
  /// The operands of calls that read weights, with the layout.
  llvm::MapVector<OpOperand *, StringAttr> readers;

  /// The type in which all of the weights can be stored that one argument of a
  /// kernel takes.
  std::string storageOf(KernelOp kernel, BlockArgument argument, StringRef form,
                        ArrayRef<WeightOp> taken) {
    if (kernel.getStrategy() == "reference" ||
        (form != panel16 && !isTable(kernel, argument)))
      return "f32";
    if (weights != "auto")
      return weights;
    // One type of 16 bits between all kernels, with the range that one needs.
    StringRef widest = !isCuda() ? "f32" : hasBf16 ? "bf16" : "f16";
    SmallVector<Type> types = llvm::map_to_vector(taken, [](WeightOp weight) {
      return getExactType(weight.getRecipe());
    });
    if (!llvm::all_equal(types) && !isCuda()) {
      reportMissed(kernel, passName) << remark::reason(
          "kernel '{0}' reads argument {1} as f32: its calls pass weights of "
          "several stored types",
          kernel.getSymName(), argument.getArgNumber());
      return "f32";
    }
    if (!llvm::all_equal(types))
      return widest.str();
    return types[0].isBF16()  ? "bf16"
           : types[0].isF16() ? "f16"
                              : widest.str();
  }

  bool isCuda() const { return arch == "cuda"; }
  bool hasBf16 = false; ///< any weight of the checkpoint

  /// The layout of a kernel's weight argument.
  FailureOr<StringAttr> layoutOf(KernelOp kernel, BlockArgument argument,
                                 ArrayRef<WeightOp> taken) {
    FailureOr<StringRef> form = formOf(kernel, argument);
    if (failed(form))
      return failure();
    std::string storage = storageOf(kernel, argument, *form, taken);
    if (isCuda() && *form == panel16)
      form = StringRef(rows);
    auto named = [&](StringRef form) {
      return StringAttr::get(&getContext(), storage + "." + form);
    };
    // What a product has as panels needs no second copy.
    if (isTable(kernel, argument) && llvm::all_of(taken, [&](WeightOp weight) {
          auto it = layoutsOf.find(weight);
          return it != layoutsOf.end() && it->second.contains(named(panel16));
        }))
      return named(panel16);
    return named(*form);
  }

  /// Sets the types of a kernel's weight arguments (tables of embeddings, or
  /// all others) and notes what its calls have to give.
  LogicalResult chooseLayouts(KernelOp kernel, ArrayRef<CallOp> calls,
                              const WeightTable &table, bool tables) {
    SmallVector<Type> types(kernel.getArgumentTypes());
    for (BlockArgument argument : kernel.getBody().getArguments()) {
      unsigned i = argument.getArgNumber();
      auto isWeight = [&](CallOp call) {
        return call.getInputs()[i].getDefiningOp<GetWeightOp>() != nullptr;
      };
      if (calls.empty() || llvm::none_of(calls, isWeight) ||
          isPacked(types[i]) || isTable(kernel, argument) != tables)
        continue;
      if (!llvm::all_of(calls, isWeight))
        return kernel.emitOpError()
               << "argument " << i
               << " is a weight in some calls and a value in others; run "
                  "--vlm-dedupe-kernels on kernels of their own";
      SmallVector<WeightOp> taken = llvm::map_to_vector(
          calls, [&](CallOp call) { return table.find(call.getInputs()[i]); });
      FailureOr<StringAttr> layout = layoutOf(kernel, argument, taken);
      if (failed(layout))
        return failure();
      types[i] = withLayout(types[i], *layout);
      argument.setType(types[i]);
      for (auto [call, weight] : llvm::zip_equal(calls, taken)) {
        layoutsOf[weight].insert(*layout);
        readers[&call->getOpOperand(i)] = *layout;
      }
      addWidening(kernel, argument);
    }
    kernel.setFunctionType(
        FunctionType::get(kernel.getContext(), types, kernel.getResultTypes()));
    return success();
  }

  /// Gives a product's kernel memory to widen what it reads in 16 bits.
  void addWidening(KernelOp kernel, BlockArgument argument) {
    DictionaryAttr tiles = kernel.getTilesAttr();
    if (!tiles || !tiles.contains("kc") || isTable(kernel, argument))
      return;
    auto tile = [&](StringRef name) {
      return tiles.getAs<IntegerAttr>(name).getInt();
    };
    int64_t bytes =
        widenedPanelBytes(argument.getType(), tile("np"), tile("kc"));
    if (!bytes)
      return;
    NamedAttrList changed(tiles);
    Size scratch = Size::fromAttr(tiles.getAs<SizeAttr>("scratch"));
    changed.set("scratch", (scratch + Size(bytes)).toAttr(&getContext()));
    kernel.setTilesAttr(changed.getDictionary(&getContext()));
  }

  /// Packs a weight, and makes another one for each further layout.
  void packWeight(WeightOp weight, ArrayRef<StringAttr> layouts) {
    std::string name = weight.getSymName().str();
    RecipeAttr recipe = weight.getRecipe();
    auto pack = [&](WeightOp op, StringAttr layout) {
      op.setRecipeAttr(RecipeAttr::pack(layout, recipe));
      op.setType(withLayout(recipe.getType(), layout));
      if (isCuda())
        op.setSymName((op.getSymName() + ".cuda").str());
      packed[{name, layout.str()}] = op;
    };
    pack(weight, layouts.front());
    OpBuilder builder(weight->getContext());
    builder.setInsertionPointAfter(weight);
    for (StringAttr layout : layouts.drop_front()) {
      auto copy = cast<WeightOp>(builder.clone(*weight));
      copy.setSymName(
          uniqueName(name + "." + layout.getValue().split('.').second.str()));
      pack(copy, layout);
      int64_t bytes = recipe.getType().getNumElements() *
                      (isNarrow(copy.getType()) ? 2 : 4);
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
