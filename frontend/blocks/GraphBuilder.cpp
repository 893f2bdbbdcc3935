//===- GraphBuilder.cpp - Builds the entry points of a graph --------------===//
#include "frontend/blocks/GraphBuilder.h"

#include <cassert>
#include <cmath>

using namespace mlir;

namespace vlmc {

static constexpr int64_t dynamic = ShapedType::kDynamic;

GraphBuilder::GraphBuilder(ModuleOp module,
                           const std::vector<BoundWeight> &bound,
                           const std::set<std::string> &taps)
    : module(module), builder(module.getContext()), taps(taps) {
  for (const BoundWeight &weight : bound)
    weights.emplace(weight.info.name, &weight);
}

RankedTensorType GraphBuilder::floats(ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape, builder.getF32Type());
}

RankedTensorType GraphBuilder::withShape(Value like, ArrayRef<int64_t> shape) {
  return RankedTensorType::get(
      shape, cast<RankedTensorType>(like.getType()).getElementType());
}

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

void GraphBuilder::beginEntry(StringRef name, ArrayRef<Symbol> symbols) {
  Location loc = NameLoc::get(builder.getStringAttr(name));
  builder.setInsertionPointToEnd(module.getBody());
  entry =
      func::FuncOp::create(builder, loc, name, builder.getFunctionType({}, {}));
  SmallVector<Attribute> list;
  for (const Symbol &symbol : symbols)
    list.push_back(vlm::SymbolInfoAttr::get(
        builder.getContext(), builder.getStringAttr(symbol.name), symbol.min,
        symbol.likely, symbol.max));
  entry->setAttr(vlm::names::entry, builder.getUnitAttr());
  entry->setAttr(vlm::names::symbols, builder.getArrayAttr(list));
  builder.setInsertionPointToStart(entry.addEntryBlock());
  argumentAttrs.clear();
  results.clear();
  tapped.clear();
  read.clear();
}

Value GraphBuilder::argument(StringRef name, RankedTensorType type,
                             ArrayRef<StringRef> dims) {
  argumentAttrs.push_back(builder.getDictionaryAttr(
      {builder.getNamedAttr(vlm::names::name, builder.getStringAttr(name)),
       builder.getNamedAttr(vlm::names::dims, builder.getStrArrayAttr(dims))}));
  return entry.getBody().addArgument(type,
                                     NameLoc::get(builder.getStringAttr(name)));
}

static void addAttr(DictionaryAttr &attrs, StringRef name, Attribute value) {
  NamedAttrList list(attrs);
  list.set(name, value);
  attrs = list.getDictionary(attrs.getContext());
}

void GraphBuilder::range(int64_t min, int64_t max) {
  addAttr(argumentAttrs.back(), vlm::names::range,
          builder.getDenseI64ArrayAttr({min, max}));
}

void GraphBuilder::below(StringRef symbol) {
  addAttr(argumentAttrs.back(), vlm::names::below,
          builder.getStringAttr(symbol));
}

void GraphBuilder::fill(int64_t value) {
  addAttr(argumentAttrs.back(), vlm::names::fill,
          builder.getI64IntegerAttr(value));
}

void GraphBuilder::result(StringRef name, Value value) {
  results.insert({builder.getStringAttr(name), value});
}

void GraphBuilder::tap(const std::string &name, Value value,
                       const std::string &asked) {
  if (taps.count(asked.empty() ? name : asked))
    tapped.insert({builder.getStringAttr(name), value});
}

void GraphBuilder::endEntry() {
  SmallVector<Value> values;
  SmallVector<Type> resultTypes;
  SmallVector<DictionaryAttr> resultAttrs;
  // Taps come behind the results, so that those keep their places.
  for (const auto &[name, value] : tapped)
    results.insert({name, value});
  for (const auto &[name, value] : results) {
    values.push_back(value);
    resultTypes.push_back(value.getType());
    resultAttrs.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr(vlm::names::name, name)}));
  }
  func::ReturnOp::create(builder, entry.getLoc(), values);
  entry.setFunctionType(
      builder.getFunctionType(entry.getBody().getArgumentTypes(), resultTypes));
  entry.setAllArgAttrs(argumentAttrs);
  entry.setAllResultAttrs(resultAttrs);
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

static Type toType(Builder &builder, StoredType type) {
  switch (type) {
  case StoredType::F16:
    return builder.getF16Type();
  case StoredType::BF16:
    return builder.getBF16Type();
  default:
    assert(type == StoredType::F32 && "bindWeights() lets no other type pass");
    return builder.getF32Type();
  }
}

vlm::RecipeAttr GraphBuilder::recipeOf(const BoundWeight &weight,
                                       ArrayRef<int64_t> shape) {
  auto stored =
      RankedTensorType::get(weight.shape, toType(builder, weight.type));
  auto recipe = vlm::RecipeAttr::convert(
      builder.getF32Type(),
      vlm::RecipeAttr::read(builder.getStringAttr(weight.tensor), stored));
  if (weight.isTransposed)
    recipe = vlm::RecipeAttr::transpose({1, 0}, recipe);
  if (weight.parts && weight.groups) {
    SmallVector<int64_t> grouped(recipe.getType().getShape().drop_front());
    int64_t size = weight.shape.front() / weight.parts / weight.groups;
    grouped.insert(grouped.begin(), {weight.groups, weight.parts, size});
    recipe = vlm::RecipeAttr::slice(1, weight.part, weight.part + weight.span,
                                    vlm::RecipeAttr::reshape(grouped, recipe));
  } else if (weight.parts) {
    int64_t size = weight.shape.front() / weight.parts;
    recipe = vlm::RecipeAttr::slice(0, weight.part * size,
                                    (weight.part + weight.span) * size, recipe);
  }
  if (recipe.getType().getShape() != shape)
    recipe = vlm::RecipeAttr::reshape(shape, recipe);
  return recipe;
}

void GraphBuilder::defineWeight(const BoundWeight &weight,
                                ArrayRef<int64_t> shape) {
  vlm::RecipeAttr recipe = recipeOf(weight, shape);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(entry);
  auto name = builder.getStringAttr(weight.info.name);
  vlm::WeightOp::create(builder, NameLoc::get(name), name,
                        TypeAttr::get(recipe.getType()), recipe);
}

Value GraphBuilder::weight(const std::string &name) {
  return weight(name, weights.at(name)->info.shape);
}

Value GraphBuilder::weight(const std::string &name, ArrayRef<int64_t> shape) {
  Value &value = read[name];
  if (value)
    return value;
  if (defined.insert(name).second)
    defineWeight(*weights.at(name), shape);
  auto loc = NameLoc::get(builder.getStringAttr(name));
  value = vlm::GetWeightOp::create(builder, loc, floats(shape), name);
  return value;
}

Value GraphBuilder::joinedWeight(ArrayRef<std::string> names) {
  std::string joined;
  SmallVector<vlm::RecipeAttr> recipes;
  for (const std::string &name : names) {
    const BoundWeight &bound = *weights.at(name);
    joined += (joined.empty() ? "" : "+") + name;
    recipes.push_back(recipeOf(bound, bound.info.shape));
  }
  return names.size() == 1
             ? weight(names[0])
             : madeWeight(joined, vlm::RecipeAttr::concat(0, recipes));
}

Value GraphBuilder::distanceBias(const std::string &name,
                                 ArrayRef<int64_t> rows) {
  const BoundWeight &bound = *weights.at(name);
  return madeWeight(name + ".by_distance",
                    vlm::RecipeAttr::transpose(
                        {1, 0}, vlm::RecipeAttr::takeRows(
                                    rows, recipeOf(bound, bound.info.shape))));
}

Value GraphBuilder::slopedBias(ArrayRef<double> slopes, int64_t tokens,
                               const std::string &name) {
  vlm::RecipeAttr places =
      vlm::RecipeAttr::count(1 - tokens, 2 * tokens - 1, builder.getContext());
  SmallVector<vlm::RecipeAttr> rows;
  for (double slope : slopes)
    rows.push_back(vlm::RecipeAttr::scale(slope, places));
  return madeWeight(name, vlm::RecipeAttr::concat(0, rows));
}

Value GraphBuilder::zeros(ArrayRef<int64_t> shape) {
  int64_t count = 1;
  std::string name = "zeros";
  for (int64_t size : shape) {
    count *= size;
    name += "." + std::to_string(size);
  }
  vlm::RecipeAttr made = vlm::RecipeAttr::scale(
      0, vlm::RecipeAttr::count(0, count, builder.getContext()));
  return madeWeight(name, vlm::RecipeAttr::reshape(shape, made));
}

Value GraphBuilder::optionalBias(const std::string &name, bool bias) {
  return bias ? weight(name + ".bias") : Value();
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

template <class OpType, class... Args>
Value GraphBuilder::create(const std::string &label, Args &&...args) {
  StringAttr attr = builder.getStringAttr(label);
  OpType op =
      OpType::create(builder, NameLoc::get(attr), std::forward<Args>(args)...);
  op->setAttr(vlm::names::label, attr);
  return op.getResult();
}

Value GraphBuilder::linear(Value input, const std::string &name, bool bias) {
  return linear(input, weight(name + ".weight"), optionalBias(name, bias),
                name);
}

Value GraphBuilder::linear(Value input, Value matrix, Value bias,
                           const std::string &label) {
  SmallVector<int64_t> shape(shapeOf(input));
  shape.back() = shapeOf(matrix)[0];
  return create<vlm::LinearOp>(label, withShape(input, shape), input, matrix,
                               bias);
}

Value GraphBuilder::scaledLinear(Value input, const std::string &name,
                                 const std::string &factors) {
  const BoundWeight &scale = *weights.at(factors);
  auto folded = [&](const char *part) {
    const BoundWeight &bound = *weights.at(name + part);
    return madeWeight(
        name + part + ".scaled",
        vlm::RecipeAttr::scaleRows(recipeOf(bound, bound.info.shape),
                                   recipeOf(scale, scale.info.shape)));
  };
  Value matrix = folded(".weight");
  return linear(input, matrix, folded(".bias"), name);
}

Value GraphBuilder::linearOfPixel(Value input, const std::string &name) {
  const BoundWeight &bound = *weights.at(name + ".weight");
  ArrayRef<int64_t> shape = bound.info.shape;
  Value matrix = madeWeight(name + ".weight.matrix",
                            recipeOf(bound, {shape[0], shape[1]}));
  return linear(input, matrix, weight(name + ".bias"), name);
}

Value GraphBuilder::linearOfWindow(Value input, const std::string &name,
                                   bool bias) {
  const BoundWeight &bound = *weights.at(name + ".weight");
  vlm::RecipeAttr rows = vlm::RecipeAttr::transpose(
      {0, 2, 3, 1}, recipeOf(bound, bound.info.shape));
  int64_t outer = bound.info.shape[0];
  Value matrix = madeWeight(
      name + ".weight.rows",
      vlm::RecipeAttr::reshape({outer, shapeOf(input).back()}, rows));
  return linear(input, matrix, optionalBias(name, bias), name);
}

Value GraphBuilder::patchEmbed(Value pixels, const std::string &name,
                               bool bias) {
  Value matrix = weight(name + ".weight");
  ArrayRef<int64_t> picture = shapeOf(pixels);
  ArrayRef<int64_t> patch = shapeOf(matrix);
  int64_t patches = (picture[2] / patch[2]) * (picture[3] / patch[3]);
  return create<vlm::PatchEmbedOp>(
      name, withShape(pixels, {picture[0], patches, patch[0]}), pixels, matrix,
      optionalBias(name, bias));
}

/// One over the deviation of each channel, times the learned factor.
vlm::RecipeAttr GraphBuilder::normFactors(const std::string &norm,
                                          double epsilon) {
  auto part = [&](const char *what) {
    const BoundWeight &bound = *weights.at(norm + what);
    return recipeOf(bound, bound.info.shape);
  };
  return vlm::RecipeAttr::scaleRows(
      part(".weight"),
      vlm::RecipeAttr::inverseRoot(epsilon, part(".running_var")));
}

Value GraphBuilder::foldedBias(const std::string &name, const std::string &norm,
                               vlm::RecipeAttr factors) {
  auto part = [&](const char *what) {
    const BoundWeight &bound = *weights.at(norm + what);
    return recipeOf(bound, bound.info.shape);
  };
  vlm::RecipeAttr shift = vlm::RecipeAttr::scale(
      -1, vlm::RecipeAttr::scaleRows(part(".running_mean"), factors));
  return madeWeight(name + ".folded_bias",
                    vlm::RecipeAttr::add(part(".bias"), shift));
}

/// How many places a window goes to, down and across.
static std::pair<int64_t, int64_t>
countPlaces(const GraphBuilder::Window &window, int64_t kernel) {
  auto count = [&](int64_t length, int64_t before, int64_t behind) {
    return (length + before + behind - kernel) / window.stride + 1;
  };
  return {count(window.height, window.padding[0], window.padding[2]),
          count(window.width, window.padding[1], window.padding[3])};
}

Value GraphBuilder::convolution(Value input, const std::string &name,
                                const std::string &norm, double epsilon,
                                int64_t side, int64_t stride) {
  int64_t around = weights.at(name + ".weight")->info.shape[2] / 2;
  return convolution(input, name, norm, epsilon,
                     {side, side, stride, {around, around, around, around}});
}

Value GraphBuilder::convolution(Value input, const std::string &name,
                                const std::string &norm, double epsilon,
                                const Window &window) {
  const BoundWeight &bound = *weights.at(name + ".weight");
  ArrayRef<int64_t> shape = bound.info.shape;
  int64_t outer = shape[0], inner = shape[1], kernel = shape[2];
  vlm::RecipeAttr factors = normFactors(norm, epsilon);
  Value bias = foldedBias(name, norm, factors);
  vlm::RecipeAttr matrix = recipeOf(bound, shape);
  bool isLinear =
      kernel == 1 && window.stride == 1 && shapeOf(input).size() == 3;
  matrix = isLinear ? vlm::RecipeAttr::reshape({outer, inner}, matrix)
                    : vlm::RecipeAttr::transpose({0, 2, 3, 1}, matrix);
  Value folded =
      madeWeight(name + ".folded", vlm::RecipeAttr::scaleRows(matrix, factors));
  if (isLinear)
    return linear(input, folded, bias, name);
  auto [down, across] = countPlaces(window, kernel);
  auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  return create<vlm::Conv2dOp>(
      name, withShape(input, {shapeOf(input)[0], down * across, outer}), input,
      folded, bias, number(window.height), number(window.width),
      number(window.stride), builder.getDenseI64ArrayAttr(window.padding));
}

Value GraphBuilder::depthwise(Value input, const std::string &name,
                              const std::string &norm, double epsilon,
                              const Window &window) {
  const BoundWeight &bound = *weights.at(name + ".weight");
  int64_t channels = bound.info.shape[0], kernel = bound.info.shape[2];
  vlm::RecipeAttr factors = normFactors(norm, epsilon);
  Value bias = foldedBias(name, norm, factors);
  vlm::RecipeAttr rows = vlm::RecipeAttr::scaleRows(
      recipeOf(bound, {channels, kernel, kernel}), factors);
  Value folded =
      madeWeight(name + ".folded", vlm::RecipeAttr::transpose({1, 2, 0}, rows));
  auto [down, across] = countPlaces(window, kernel);
  auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  return create<vlm::DepthwiseConv2dOp>(
      name, withShape(input, {shapeOf(input)[0], down * across, channels}),
      input, folded, bias, number(window.height), number(window.width),
      number(window.stride), builder.getDenseI64ArrayAttr(window.padding));
}

Value GraphBuilder::convolution(Value input, const std::string &name,
                                int64_t side, int64_t stride, int64_t before,
                                int64_t behind) {
  const BoundWeight &bound = *weights.at(name + ".weight");
  ArrayRef<int64_t> shape = bound.info.shape;
  int64_t outer = shape[0], inner = shape[1], kernel = shape[2];
  Value bias = weight(name + ".bias");
  vlm::RecipeAttr matrix = recipeOf(bound, shape);
  if (kernel == 1 && stride == 1 && shapeOf(input).size() == 3)
    return linear(input,
                  madeWeight(name + ".weight.matrix",
                             vlm::RecipeAttr::reshape({outer, inner}, matrix)),
                  bias, name);
  return convolution(
      input,
      madeWeight(name + ".weight.windows",
                 vlm::RecipeAttr::transpose({0, 2, 3, 1}, matrix)),
      bias, side, stride, before, behind, name);
}

Value GraphBuilder::convolution(Value input, Value windows, Value bias,
                                int64_t side, int64_t stride, int64_t before,
                                int64_t behind, const std::string &label) {
  int64_t outer = shapeOf(windows)[0], kernel = shapeOf(windows)[1];
  int64_t places = (side + before + behind - kernel) / stride + 1;
  auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  return create<vlm::Conv2dOp>(
      label, withShape(input, {shapeOf(input)[0], places * places, outer}),
      input, windows, bias, number(side), number(side), number(stride),
      builder.getDenseI64ArrayAttr({before, before, behind, behind}));
}

Value GraphBuilder::projectPatch(Value pixels, const std::string &name,
                                 int64_t size) {
  ArrayRef<int64_t> shape = shapeOf(pixels);
  const BoundWeight &bound = *weights.at(name + ".weight");
  int64_t outer = bound.info.shape[0], side = shape[2];
  int64_t places = (side / size) * (side / size);
  Value matrix = madeWeight(name + ".weight.windows",
                            recipeOf(bound, {outer, size, size, shape[1]}));
  auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  return create<vlm::Conv2dOp>(
      name, withShape(pixels, {shape[0], places, outer}), pixels, matrix,
      weight(name + ".bias"), number(side), number(side), number(size),
      builder.getDenseI64ArrayAttr({0, 0, 0, 0}));
}

/// As torch.arange does on a CPU with AVX2: whole pairs of vectors of 8 begin
/// at a rounded number, what is left is rounded once each. What it gives beyond
/// the last bucket is left out: no place lies there.
std::vector<float> bucketBoundaries(int64_t side) {
  constexpr int64_t lanes = 8;
  const double step = 1.0 / static_cast<double>(side);
  auto count = static_cast<int64_t>(std::ceil((1.0 - step) / step));
  std::vector<float> boundaries;
  for (int64_t i = 0; i < count; ++i) {
    const bool isInVector = i / (2 * lanes) < count / (2 * lanes);
    int64_t first = isInVector ? i / lanes * lanes : i;
    double base = step + step * static_cast<double>(first);
    if (isInVector)
      base = static_cast<double>(static_cast<float>(base));
    base += static_cast<double>(i - first) * step;
    if (i + 1 < side)
      boundaries.push_back(static_cast<float>(base));
  }
  return boundaries;
}

Value GraphBuilder::addGridPositions(Value input, const std::string &name,
                                     Value grid, ArrayRef<float> boundaries) {
  return create<vlm::AddGridPositionsOp>(
      name, input.getType(), input, weight(name + ".weight"), grid,
      boundaries.empty() ? DenseF32ArrayAttr()
                         : builder.getDenseF32ArrayAttr(boundaries));
}

Value GraphBuilder::averagePool(Value input, int64_t side, int64_t size,
                                const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  int64_t places = side / size;
  auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  return create<vlm::AveragePoolOp>(
      label, withShape(input, {shape[0], places * places, shape[2]}), input,
      number(side), number(side), number(size));
}

Value GraphBuilder::layerNorm(Value input, const std::string &name,
                              double epsilon, bool bias) {
  Value factors = weight(name + ".weight");
  return create<vlm::LayerNormOp>(
      name, input.getType(), input, factors,
      bias ? weight(name + ".bias") : zeros(shapeOf(factors)),
      builder.getF64FloatAttr(epsilon), builder.getI64IntegerAttr(0));
}

Value GraphBuilder::headLayerNorm(Value input, const std::string &name,
                                  int64_t group, double epsilon) {
  int64_t features = shapeOf(input).back();
  return create<vlm::LayerNormOp>(
      name, input.getType(), input, weight(name + ".weight", {features}),
      weight(name + ".bias", {features}), builder.getF64FloatAttr(epsilon),
      builder.getI64IntegerAttr(group));
}

Value GraphBuilder::groupNorm(Value input, const std::string &name,
                              int64_t groups, double epsilon) {
  Value moments = create<vlm::GroupMomentsOp>(
      name + ".moments", withShape(input, {shapeOf(input)[0], groups, 2}),
      input, builder.getI64IntegerAttr(groups),
      builder.getF64FloatAttr(epsilon));
  return create<vlm::GroupNormOp>(name, input.getType(), input, moments,
                                  weight(name + ".weight"),
                                  weight(name + ".bias"));
}

/// The squared distance to a row is its square less twice the product with it,
/// and what all rows share.
Value GraphBuilder::nearestRow(Value input, const std::string &name,
                               ArrayRef<int32_t> ids) {
  const BoundWeight &bound = *weights.at(name + ".weight");
  vlm::RecipeAttr rows = recipeOf(bound, bound.info.shape);
  Value matrix =
      madeWeight(name + ".weight.products", vlm::RecipeAttr::scale(-2, rows));
  Value squares =
      madeWeight(name + ".weight.squares", vlm::RecipeAttr::rowSquares(rows));
  Value distances = linear(input, matrix, squares, name);
  ArrayRef<int64_t> shape = shapeOf(input);
  auto type = RankedTensorType::get({shape[0], shape[1]}, builder.getI32Type());
  return create<vlm::LeastFeatureOp>(name + ".ids", type, distances,
                                     builder.getDenseI32ArrayAttr(ids));
}

Value GraphBuilder::maskFeatures(Value input, ArrayRef<int64_t> ranges,
                                 const std::string &label) {
  return create<vlm::MaskFeaturesOp>(label, input.getType(), input,
                                     builder.getDenseI64ArrayAttr(ranges));
}

Value GraphBuilder::rmsNorm(Value input, const std::string &name,
                            double epsilon, double offset) {
  return create<vlm::RmsNormOp>(
      name, input.getType(), input, weight(name + ".weight"),
      builder.getF64FloatAttr(epsilon), builder.getF64FloatAttr(offset));
}

Value GraphBuilder::multiply(Value lhs, Value rhs, const std::string &label) {
  return create<vlm::MultiplyOp>(label, lhs.getType(), lhs, rhs);
}

Value GraphBuilder::scaleFeatures(Value input, Value factors,
                                  const std::string &label) {
  return create<vlm::ScaleFeaturesOp>(label, input.getType(), input, factors);
}

Value GraphBuilder::scale(Value input, double factor,
                          const std::string &label) {
  return create<vlm::ScaleOp>(label, input.getType(), input,
                              builder.getF64FloatAttr(factor));
}

Value GraphBuilder::softcap(Value input, double cap, const std::string &label) {
  Value inner = scale(input, 1 / cap, label + ".inner");
  return scale(activation(inner, spec::TANH, label + ".tanh"), cap, label);
}

Value GraphBuilder::clamp(Value input, double limit, const std::string &label) {
  Value inner = scale(input, 1 / limit, label + ".inner");
  return scale(activation(inner, spec::HARD_TANH, label + ".hard_tanh"), limit,
               label);
}

Value GraphBuilder::pixelUnshuffle(Value input, int64_t size, bool transposed,
                                   const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  int64_t side = std::llround(std::sqrt(static_cast<double>(shape[1])));
  auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  return create<vlm::PixelUnshuffleOp>(
      label,
      withShape(input,
                {shape[0], shape[1] / size / size, shape[2] * size * size}),
      input, number(side), number(side), number(size),
      transposed ? builder.getUnitAttr() : UnitAttr());
}

Value GraphBuilder::ropeTable(Value position, ArrayRef<float> frequencies,
                              double scale, const std::string &label) {
  SmallVector<int64_t> shape(shapeOf(position));
  shape.push_back(2 * static_cast<int64_t>(frequencies.size()));
  return create<vlm::RopeTableOp>(label, floats(shape), position,
                                  builder.getDenseF32ArrayAttr(frequencies),
                                  builder.getF64FloatAttr(scale));
}

Value GraphBuilder::rope(Value input, Value table, int64_t heads,
                         bool interleaved, const std::string &label) {
  return create<vlm::RopeOp>(label, input.getType(), input, table,
                             builder.getI64IntegerAttr(heads),
                             interleaved ? builder.getUnitAttr() : UnitAttr());
}

Value GraphBuilder::mergeTokens(Value input, Value features, Value row,
                                const std::string &label) {
  return create<vlm::MergeTokensOp>(label, input.getType(), input, features,
                                    row);
}

RankedTensorType GraphBuilder::cacheType(int64_t layers, int64_t heads,
                                         int64_t size) {
  return RankedTensorType::get({layers, 2, heads, size}, builder.getF32Type(),
                               vlm::CacheAttr::get(builder.getContext()));
}

Value GraphBuilder::cacheLayer(Value cache, int64_t layer) {
  auto type = cast<RankedTensorType>(cache.getType());
  auto layerType = RankedTensorType::get(
      type.getShape().drop_front(), type.getElementType(), type.getEncoding());
  return vlm::CacheLayerOp::create(builder, entry.getLoc(), layerType, cache,
                                   builder.getI64IntegerAttr(layer));
}

Value GraphBuilder::cachedAttention(Value query, Value key, Value value,
                                    const CachedTokens &tokens, int64_t heads,
                                    double scale, int64_t window,
                                    double softcap, const std::string &label) {
  return create<vlm::CachedAttentionOp>(
      label, query.getType(), query, key, value, tokens.cache, tokens.sequence,
      tokens.position, /*query_token=*/Value(), tokens.querySequence,
      tokens.first, tokens.last, tokens.distanceBias,
      builder.getI64IntegerAttr(heads), builder.getF64FloatAttr(scale),
      builder.getI64IntegerAttr(window), builder.getF64FloatAttr(softcap));
}

Value GraphBuilder::attention(Value query, Value key, Value value,
                              Value keyValid, bool causal, int64_t heads,
                              double scale, const std::string &label,
                              int64_t kvHeads, Value distanceBias,
                              bool amongInvalid) {
  SmallVector<int64_t> shape(shapeOf(query));
  if (shape[0] == 1)
    shape[0] = shapeOf(key)[0];
  return create<vlm::AttentionOp>(
      label, withShape(query, shape), query, key, value,
      /*query_position=*/Value(), keyValid, distanceBias,
      builder.getI64IntegerAttr(heads),
      builder.getI64IntegerAttr(kvHeads ? kvHeads : heads),
      builder.getF64FloatAttr(scale),
      causal ? builder.getUnitAttr() : UnitAttr(),
      amongInvalid ? builder.getUnitAttr() : UnitAttr());
}

Value GraphBuilder::gatedAdd(Value residual, Value branch, Value gate,
                             const std::string &label, Value shown) {
  return create<vlm::GatedAddOp>(label, residual.getType(), residual, branch,
                                 gate, shown);
}

static vlm::ActivationKind toKind(spec::Activation kind) {
  switch (kind) {
  case spec::RELU:
    return vlm::ActivationKind::Relu;
  case spec::RELU2:
    return vlm::ActivationKind::Relu2;
  case spec::RELU6:
    return vlm::ActivationKind::Relu6;
  case spec::LEAKY_RELU:
    return vlm::ActivationKind::LeakyRelu;
  case spec::QUICK_GELU:
    return vlm::ActivationKind::QuickGelu;
  case spec::GELU:
    return vlm::ActivationKind::Gelu;
  case spec::GELU_TANH:
    return vlm::ActivationKind::GeluTanh;
  case spec::SILU:
    return vlm::ActivationKind::Silu;
  case spec::SIGMOID:
    return vlm::ActivationKind::Sigmoid;
  case spec::TANH:
    return vlm::ActivationKind::Tanh;
  case spec::MISH:
    return vlm::ActivationKind::Mish;
  case spec::HARD_TANH:
    return vlm::ActivationKind::HardTanh;
  default:
    return vlm::ActivationKind::Identity;
  }
}

Value GraphBuilder::activation(Value input, spec::Activation kind,
                               const std::string &label) {
  return create<vlm::ActivationOp>(label, input.getType(), toKind(kind), input);
}

Value GraphBuilder::add(Value lhs, Value rhs, const std::string &label) {
  return create<vlm::AddOp>(label, lhs.getType(), lhs, rhs);
}

Value GraphBuilder::weightRows(const std::string &name, int64_t begin) {
  const BoundWeight &bound = *weights.at(name);
  if (begin == 0)
    return weight(name);
  vlm::RecipeAttr whole = recipeOf(bound, bound.info.shape);
  return madeWeight(
      name + "[" + std::to_string(begin) + "]",
      vlm::RecipeAttr::slice(0, begin, bound.info.shape[0], whole));
}

Value GraphBuilder::sharedTokens(const std::string &name) {
  const BoundWeight &bound = *weights.at(name);
  SmallVector<int64_t> shape(ArrayRef<int64_t>(bound.info.shape));
  shape.insert(shape.begin(), 1);
  return madeWeight(name + "[1]", recipeOf(bound, shape));
}

vlm::RecipeAttr GraphBuilder::storedWeight(const std::string &name) {
  const BoundWeight &bound = *weights.at(name);
  return recipeOf(bound, bound.info.shape);
}

Value GraphBuilder::prependTokens(Value tokens, Value input,
                                  const std::string &label) {
  ArrayRef<int64_t> front = shapeOf(tokens), shape = shapeOf(input);
  return create<vlm::PrependTokensOp>(
      label,
      withShape(input,
                {shape[0], front[front.size() - 2] + shape[1], shape[2]}),
      tokens, input);
}

Value GraphBuilder::madeWeight(const std::string &name,
                               vlm::RecipeAttr recipe) {
  Value &value = read[name];
  if (value)
    return value;
  auto loc = NameLoc::get(builder.getStringAttr(name));
  if (defined.insert(name).second) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(entry);
    vlm::WeightOp::create(builder, loc, builder.getStringAttr(name),
                          TypeAttr::get(recipe.getType()), recipe);
  }
  value = vlm::GetWeightOp::create(builder, loc, recipe.getType(), name);
  return value;
}

Value GraphBuilder::embedding(Value ids, const std::string &name,
                              int64_t firstRow) {
  return embedding(ids, weightRows(name + ".weight", firstRow), name);
}

Value GraphBuilder::embedding(Value ids, Value table,
                              const std::string &label) {
  SmallVector<int64_t> shape(shapeOf(ids));
  shape.push_back(shapeOf(table)[1]);
  return create<vlm::EmbeddingOp>(label, floats(shape), ids, table);
}

Value GraphBuilder::prependTokens(Value input, const std::string &name,
                                  int64_t count) {
  ArrayRef<int64_t> shape = shapeOf(input);
  Value tokens = weight(name, {count, shape[2]});
  return create<vlm::PrependTokensOp>(
      name, withShape(input, {shape[0], shape[1] + count, shape[2]}), tokens,
      input);
}

Value GraphBuilder::concatFeatures(ArrayRef<Value> inputs,
                                   const std::string &label) {
  SmallVector<int64_t> shape(shapeOf(inputs[0]));
  shape.back() = 0;
  for (Value input : inputs)
    shape.back() += vlm::getFeatures(input);
  return create<vlm::ConcatFeaturesOp>(label, withShape(inputs[0], shape),
                                       ValueRange(inputs));
}

Value GraphBuilder::takeToken(Value input, int64_t position,
                              const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  return create<vlm::TakeTokensOp>(
      label, withShape(input, {shape[0], 1, shape[2]}), input,
      /*index=*/Value(), builder.getI64IntegerAttr(position));
}

Value GraphBuilder::takeTokens(Value input, Value index,
                               const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  return create<vlm::TakeTokensOp>(
      label, withShape(input, {shape[0], shapeOf(index)[1], shape[2]}), input,
      index, /*position=*/IntegerAttr());
}

Value GraphBuilder::tokenIndex(Value ids, vlm::TokenIndexKind kind, int64_t id,
                               const std::string &label) {
  auto type = RankedTensorType::get({shapeOf(ids)[0], 1}, builder.getI32Type());
  return create<vlm::TokenIndexOp>(label, type, kind, ids,
                                   static_cast<uint64_t>(id));
}

Value GraphBuilder::sliceTokens(Value input, int64_t begin, int64_t end,
                                const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  return create<vlm::SliceTokensOp>(
      label, withShape(input, {shape[0], end - begin, shape[2]}), input,
      builder.getI64IntegerAttr(begin), builder.getI64IntegerAttr(end));
}

Value GraphBuilder::sliceFeatures(Value input, int64_t begin, int64_t end,
                                  const std::string &label) {
  SmallVector<int64_t> shape(shapeOf(input));
  shape.back() = end - begin;
  return create<vlm::SliceFeaturesOp>(label, withShape(input, shape), input,
                                      builder.getI64IntegerAttr(begin),
                                      builder.getI64IntegerAttr(end));
}

Value GraphBuilder::squeeze(Value input, const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  int64_t kept = shape[1] == 1 ? shape[0] : shape[1];
  return create<vlm::SqueezeOp>(label, withShape(input, {kept, shape[2]}),
                                input);
}

Value GraphBuilder::replaceTokens(Value tokens, Value input,
                                  const std::string &label) {
  return create<vlm::ReplaceTokensOp>(label, input.getType(), tokens, input);
}

Value GraphBuilder::meanTokens(Value input, const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  return create<vlm::MeanTokensOp>(
      label, withShape(input, {shape[0], shape[2]}), input);
}

Value GraphBuilder::maxTokens(Value input, const std::string &label) {
  ArrayRef<int64_t> shape = shapeOf(input);
  return create<vlm::MaxTokensOp>(label, withShape(input, {shape[0], shape[2]}),
                                  input);
}

Value GraphBuilder::l2Normalize(Value input, const std::string &label) {
  return create<vlm::L2NormalizeOp>(label, input.getType(), input);
}

Value GraphBuilder::contrastiveLogits(Value image, Value text,
                                      const std::string &name, bool bias,
                                      bool divides) {
  Value offset = bias ? weight(name + ".bias", {1}) : Value();
  return create<vlm::ContrastiveLogitsOp>(
      name, floats({dynamic, dynamic}), image, text,
      weight(name + (divides ? ".temperature" : ".log_scale"), {1}), offset,
      divides);
}

} // namespace vlmc
