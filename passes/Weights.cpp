//===-- Weights.cpp - finding and making weights in passes ----------------===//
#include "passes/Weights.h"
#include "ir/Target.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

WeightTable::WeightTable(ModuleOp module) : module(module), symbols(module) {
  for (WeightOp weight : module.getOps<WeightOp>())
    byRecipe.try_emplace(weight.getRecipe(), weight);
}

WeightOp WeightTable::find(Value value) const {
  auto get = value.getDefiningOp<GetWeightOp>();
  return get ? symbols.lookup<WeightOp>(get.getWeight()) : WeightOp();
}

WeightOp WeightTable::getOrCreate(StringRef name, RecipeAttr recipe,
                                  Location loc) {
  auto it = byRecipe.find(recipe);
  if (it != byRecipe.end())
    return it->second;
  OpBuilder builder(module.getContext());
  auto weight = WeightOp::create(builder, loc, name, recipe.getType(), recipe);
  // Weights stand together in front of what uses them.
  Block::iterator place = module.getBody()->begin();
  for (Operation &op : *module.getBody())
    if (isa<WeightOp>(op))
      place = std::next(op.getIterator());
  symbols.insert(weight, place);
  byRecipe[recipe] = weight;
  return weight;
}

unsigned WeightTable::eraseUnused() {
  llvm::StringSet<> used;
  module.walk([&](GetWeightOp get) { used.insert(get.getWeight()); });
  unsigned erased = 0;
  for (WeightOp weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
    if (!used.contains(weight.getSymName())) {
      auto it = byRecipe.find(weight.getRecipe());
      if (it != byRecipe.end() && it->second == weight)
        byRecipe.erase(it);
      symbols.erase(weight);
      ++erased;
    }
  return erased;
}

Value vlmc::getWeight(OpBuilder &builder, Location loc, WeightOp weight) {
  return GetWeightOp::create(builder, loc, weight.getType(),
                             weight.getSymName());
}

Type vlmc::getExactType(RecipeAttr recipe) {
  Type own = recipe.getType().getElementType();
  Type f32 = Float32Type::get(recipe.getContext());
  switch (recipe.getKind()) {
  case RecipeKind::Read:
    return own.isBF16() || own.isF16() ? own : f32;
  case RecipeKind::Convert: {
    // To f32 loses nothing; to less, what comes out is of that type.
    Type input = getExactType(recipe.getInputs()[0]);
    return own.isF32() ? input : own;
  }
  case RecipeKind::Concat: {
    Type first = getExactType(recipe.getInputs()[0]);
    bool equal = llvm::all_of(recipe.getInputs(), [&](RecipeAttr input) {
      return getExactType(input) == first;
    });
    return equal ? first : f32;
  }
  case RecipeKind::Transpose:
  case RecipeKind::Slice:
  case RecipeKind::Reshape:
  case RecipeKind::TakeRows:
  case RecipeKind::Pack:
    return getExactType(recipe.getInputs()[0]);
  case RecipeKind::Scale:
  case RecipeKind::Exp:
  case RecipeKind::Add:
  case RecipeKind::Linear:
  case RecipeKind::ScaleRows:
  case RecipeKind::InverseRoot:
  case RecipeKind::RowSquares:
  case RecipeKind::Count:
    return f32;
  }
  llvm_unreachable("every kind is listed");
}

bool vlmc::isNarrow(Type weight) {
  auto layout = dyn_cast_or_null<LayoutAttr>(
      cast<RankedTensorType>(weight).getEncoding());
  return layout && layout.getStorage() != "f32";
}

int64_t vlmc::widenedPanelBytes(Type weight, int64_t panels, int64_t depth) {
  int64_t rows = llvm::alignTo(depth, 2); // bf16 is widened in pairs
  return isNarrow(weight) ? panels * panelColumns * rows * 4 : 0;
}

std::string vlmc::joinNames(ArrayRef<StringRef> names) {
  SmallVector<SmallVector<StringRef>> parts;
  for (StringRef name : names)
    name.split(parts.emplace_back(), '.');
  size_t shortest = parts.front().size();
  for (const auto &part : parts)
    shortest = std::min(shortest, part.size());
  auto allHave = [&](auto component) {
    return llvm::all_of(parts, [&](const auto &part) {
      return component(part) == component(parts.front());
    });
  };
  size_t front = 0, back = 0;
  while (front + 1 < shortest &&
         allHave([&](const auto &part) { return part[front]; }))
    ++front;
  while (front + back + 1 < shortest && allHave([&](const auto &part) {
           return part[part.size() - 1 - back];
         }))
    ++back;
  SmallVector<std::string> middles;
  for (const auto &part : parts)
    middles.push_back(
        llvm::join(ArrayRef(part).drop_front(front).drop_back(back), "."));
  SmallVector<std::string> joined;
  for (StringRef part : ArrayRef(parts.front()).take_front(front))
    joined.push_back(part.str());
  joined.push_back(llvm::join(middles, "+"));
  for (StringRef part : ArrayRef(parts.front()).take_back(back))
    joined.push_back(part.str());
  return llvm::join(joined, ".");
}
