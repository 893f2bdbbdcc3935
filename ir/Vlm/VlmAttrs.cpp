//===-- VlmAttrs.cpp - attributes of the vlm dialect: recipes, layouts, sizes, symbols --------------------------------------------------===//
#include "ir/Vlm/VlmDialect.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include <numeric>

using namespace mlir;
using namespace vlmc::vlm;

#include "ir/Vlm/VlmEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/Vlm/VlmAttrs.cpp.inc"

void VlmDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/Vlm/VlmAttrs.cpp.inc"
      >();
}

//===-- Recipes: construction -----------------------------------------------------------------------------------------------------------===//

static RecipeAttr makeRecipe(RecipeKind kind, RankedTensorType type, ArrayRef<RecipeAttr> inputs, ArrayRef<int64_t> params = {},
                             StringAttr name = {}, FloatAttr factor = {}) {
  return RecipeAttr::get(type.getContext(), kind, type, name, params, factor, inputs);
}

RecipeAttr RecipeAttr::read(StringAttr name, RankedTensorType type) { return makeRecipe(RecipeKind::Read, type, {}, {}, name); }

RecipeAttr RecipeAttr::concat(int64_t axis, ArrayRef<RecipeAttr> inputs) {
  SmallVector<int64_t> shape(inputs.front().getType().getShape());
  shape[axis] = 0;
  for (RecipeAttr input : inputs)
    shape[axis] += input.getType().getDimSize(axis);
  return makeRecipe(RecipeKind::Concat, RankedTensorType::get(shape, inputs.front().getType().getElementType()), inputs, {axis});
}

RecipeAttr RecipeAttr::transpose(ArrayRef<int64_t> permutation, RecipeAttr input) {
  SmallVector<int64_t> shape;
  for (int64_t axis : permutation)
    shape.push_back(input.getType().getDimSize(axis));
  return makeRecipe(RecipeKind::Transpose, RankedTensorType::get(shape, input.getType().getElementType()), {input}, permutation);
}

RecipeAttr RecipeAttr::slice(int64_t axis, int64_t begin, int64_t end, RecipeAttr input) {
  SmallVector<int64_t> shape(input.getType().getShape());
  shape[axis] = end - begin;
  return makeRecipe(RecipeKind::Slice, RankedTensorType::get(shape, input.getType().getElementType()), {input}, {axis, begin, end});
}

RecipeAttr RecipeAttr::scale(double factor, RecipeAttr input) {
  auto attr = FloatAttr::get(Float64Type::get(input.getContext()), factor);
  return makeRecipe(RecipeKind::Scale, input.getType(), {input}, {}, {}, attr);
}

RecipeAttr RecipeAttr::exp(RecipeAttr input) { return makeRecipe(RecipeKind::Exp, input.getType(), {input}); }

RecipeAttr RecipeAttr::reshape(ArrayRef<int64_t> shape, RecipeAttr input) {
  return makeRecipe(RecipeKind::Reshape, RankedTensorType::get(shape, input.getType().getElementType()), {input});
}

RecipeAttr RecipeAttr::convert(Type elementType, RecipeAttr input) {
  if (input.getType().getElementType() == elementType)
    return input;
  return makeRecipe(RecipeKind::Convert, RankedTensorType::get(input.getType().getShape(), elementType), {input});
}

RecipeAttr RecipeAttr::add(RecipeAttr lhs, RecipeAttr rhs) { return makeRecipe(RecipeKind::Add, lhs.getType(), {lhs, rhs}); }

RecipeAttr RecipeAttr::linear(ArrayRef<RecipeAttr> inputs) {
  SmallVector<int64_t> shape(inputs[0].getType().getShape());
  shape.back() = inputs[1].getType().getDimSize(0);
  return makeRecipe(RecipeKind::Linear, RankedTensorType::get(shape, inputs[0].getType().getElementType()), inputs);
}

RecipeAttr RecipeAttr::scaleRows(RecipeAttr input, RecipeAttr factors) {
  return makeRecipe(RecipeKind::ScaleRows, input.getType(), {input, factors});
}

RecipeAttr RecipeAttr::inverseRoot(double epsilon, RecipeAttr input) {
  auto attr = FloatAttr::get(Float64Type::get(input.getContext()), epsilon);
  return makeRecipe(RecipeKind::InverseRoot, input.getType(), {input}, {}, {}, attr);
}

RecipeAttr RecipeAttr::rowSquares(RecipeAttr input) {
  RankedTensorType type = input.getType();
  return makeRecipe(RecipeKind::RowSquares, RankedTensorType::get(type.getShape().take_front(), type.getElementType()), {input});
}

RecipeAttr RecipeAttr::takeRows(ArrayRef<int64_t> rows, RecipeAttr input) {
  SmallVector<int64_t> shape(input.getType().getShape());
  shape[0] = static_cast<int64_t>(rows.size());
  return makeRecipe(RecipeKind::TakeRows, RankedTensorType::get(shape, input.getType().getElementType()), {input}, rows);
}

RecipeAttr RecipeAttr::count(int64_t first, int64_t number, MLIRContext *context) {
  return makeRecipe(RecipeKind::Count, RankedTensorType::get({1, number}, Float32Type::get(context)), {}, {first});
}

RecipeAttr RecipeAttr::pack(StringRef layout, RecipeAttr input) {
  RankedTensorType type = input.getType();
  auto packed = RankedTensorType::get(type.getShape(), type.getElementType(), LayoutAttr::get(type.getContext(), layout));
  return makeRecipe(RecipeKind::Pack, packed, {input}, {}, StringAttr::get(type.getContext(), layout));
}

//===-- Recipes: checks -------------------------------------------------------------------------------------------------------------------===//

using EmitError = llvm::function_ref<InFlightDiagnostic()>;

static LogicalResult verifyConcat(EmitError emitError, RankedTensorType type, ArrayRef<int64_t> params, ArrayRef<RecipeAttr> inputs) {
  if (inputs.empty() || params.size() != 1 || params[0] < 0 || params[0] >= type.getRank())
    return emitError() << "concat needs at least one input and one axis within the rank " << type.getRank();
  int64_t sum = 0;
  for (RecipeAttr input : inputs) {
    RankedTensorType part = input.getType();
    if (part.getRank() != type.getRank())
      return emitError() << "concat joins tensors of one rank, but has " << part << " for " << type;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (axis != params[0] && part.getDimSize(axis) != type.getDimSize(axis))
        return emitError() << "concat along axis " << params[0] << " needs equal sizes elsewhere, but has " << part << " for " << type;
    sum += part.getDimSize(params[0]);
  }
  if (sum != type.getDimSize(params[0]))
    return emitError() << "concat gives " << sum << " along axis " << params[0] << ", but its type is " << type;
  return success();
}

static LogicalResult verifyLinear(EmitError emitError, RankedTensorType type, ArrayRef<RecipeAttr> inputs) {
  if (inputs.size() != 2 && inputs.size() != 3)
    return emitError() << "linear needs an input, a weight and at most a bias, but has " << inputs.size() << " inputs";
  RankedTensorType input = inputs[0].getType(), weight = inputs[1].getType();
  bool fits = input.getRank() > 0 && weight.getRank() == 2 && input.getShape().back() == weight.getDimSize(1);
  if (fits && inputs.size() == 3)
    fits = inputs[2].getType().getShape() == weight.getShape().take_front();
  if (fits)
    fits = type.getRank() == input.getRank() && type.getShape().drop_back() == input.getShape().drop_back() &&
           type.getShape().back() == weight.getDimSize(0);
  if (!fits || llvm::any_of(inputs, [](RecipeAttr part) { return !part.getType().getElementType().isF32(); }))
    return emitError() << "linear needs [..., K], [N, K] and [N] in f32 for its type " << type << ", but has " << input << " and " << weight;
  return success();
}

static LogicalResult verifySlice(EmitError emitError, RankedTensorType type, ArrayRef<int64_t> params, RankedTensorType input) {
  if (params.size() != 3 || params[0] < 0 || params[0] >= input.getRank() || params[1] < 0 || params[1] >= params[2] ||
      params[2] > input.getDimSize(params[0]))
    return emitError() << "slice needs [axis, begin, end] within " << input << ", but has [" << params << "]";
  SmallVector<int64_t> shape(input.getShape());
  shape[params[0]] = params[2] - params[1];
  if (ArrayRef<int64_t>(shape) != type.getShape())
    return emitError() << "slice [" << params << "] of " << input << " does not give " << type;
  return success();
}

static LogicalResult verifyTranspose(EmitError emitError, RankedTensorType type, ArrayRef<int64_t> params, RankedTensorType input) {
  SmallVector<int64_t> sorted(params);
  llvm::sort(sorted);
  for (int64_t i = 0; i < static_cast<int64_t>(sorted.size()); ++i)
    if (sorted[i] != i || static_cast<int64_t>(sorted.size()) != input.getRank())
      return emitError() << "transpose needs a permutation of the " << input.getRank() << " axes, but has [" << params << "]";
  for (auto [size, axis] : llvm::zip_equal(type.getShape(), params))
    if (size != input.getDimSize(axis))
      return emitError() << "transpose [" << params << "] of " << input << " does not give " << type;
  return success();
}

static LogicalResult verifyTakeRows(EmitError emitError, RankedTensorType type, ArrayRef<int64_t> params, RankedTensorType input) {
  if (input.getRank() < 1 || type.getRank() < 1 || type.getShape().drop_front() != input.getShape().drop_front() ||
      type.getDimSize(0) != static_cast<int64_t>(params.size()))
    return emitError() << "take_rows of " << params.size() << " rows of " << input << " does not give " << type;
  for (int64_t row : params)
    if (row < 0 || row >= input.getDimSize(0))
      return emitError() << "take_rows needs rows within the " << input.getDimSize(0) << " of its input, but has " << row;
  return success();
}

static LogicalResult verifyPack(EmitError emitError, RankedTensorType type, StringAttr name, RankedTensorType input) {
  auto layout = dyn_cast_or_null<LayoutAttr>(type.getEncoding());
  if (!name || !layout || layout.getName() != name.getValue() || input.getShape() != type.getShape())
    return emitError() << "pack gives its input's shape with the layout it names, but gives " << type << " from " << input;
  return success();
}

/// Checks a step with exactly one input and an unchanged shape or element count.
static LogicalResult verifyUnary(EmitError emitError, RecipeKind kind, RankedTensorType type, ArrayRef<int64_t> params, StringAttr name,
                                 FloatAttr factor, RankedTensorType input) {
  switch (kind) {
  case RecipeKind::Slice:
    return verifySlice(emitError, type, params, input);
  case RecipeKind::Transpose:
    return verifyTranspose(emitError, type, params, input);
  case RecipeKind::TakeRows:
    return verifyTakeRows(emitError, type, params, input);
  case RecipeKind::Pack:
    return verifyPack(emitError, type, name, input);
  case RecipeKind::RowSquares:
    if (input.getRank() != 2 || !input.getElementType().isF32() ||
        type != RankedTensorType::get(input.getShape().take_front(), input.getElementType()))
      return emitError() << "row_squares gives [N] from [N, K] in f32, but makes " << type << " from " << input;
    return success();
  case RecipeKind::Reshape:
    if (type.getNumElements() != input.getNumElements())
      return emitError() << "reshape keeps the number of elements, but makes " << type << " from " << input;
    return success();
  case RecipeKind::Convert:
    if (type.getShape() != input.getShape())
      return emitError() << "convert keeps the shape, but makes " << type << " from " << input;
    return success();
  case RecipeKind::Scale:
  case RecipeKind::InverseRoot:
    if (!factor)
      return emitError() << stringifyRecipeKind(kind) << " needs a factor";
    [[fallthrough]];
  default:
    if (type != input)
      return emitError() << stringifyRecipeKind(kind) << " keeps the type, but makes " << type << " from " << input;
    return success();
  }
}

LogicalResult RecipeAttr::verify(EmitError emitError, RecipeKind kind, RankedTensorType type, StringAttr name, ArrayRef<int64_t> params,
                                 FloatAttr factor, ArrayRef<RecipeAttr> inputs) {
  if (!type.hasStaticShape())
    return emitError() << "a recipe has a static shape, but has " << type;
  if (kind == RecipeKind::Read) {
    if (!name || name.getValue().empty() || !inputs.empty())
      return emitError() << "read needs the name of a tensor and has no inputs";
    return success();
  }
  if (kind == RecipeKind::Count) {
    // All numbers are exact in f32.
    constexpr int64_t most = 1 << 24;
    if (!inputs.empty() || params.size() != 1 || type.getRank() != 2 || type.getDimSize(0) != 1 || !type.getElementType().isF32() ||
        params[0] < -most || params[0] > most - type.getDimSize(1))
      return emitError() << "count makes [1, N] in f32 from a first number, within 2^24 of 0, but makes " << type;
    return success();
  }
  if (kind == RecipeKind::Concat)
    return verifyConcat(emitError, type, params, inputs);
  if (kind == RecipeKind::Linear)
    return verifyLinear(emitError, type, inputs);
  if (kind == RecipeKind::Add) {
    if (inputs.size() != 2 || inputs[0].getType() != type || inputs[1].getType() != type)
      return emitError() << "add needs two inputs of its own type " << type;
    return success();
  }
  if (kind == RecipeKind::ScaleRows) {
    if (inputs.size() != 2 || inputs[0].getType() != type || type.getRank() < 1 || !type.getElementType().isF32() ||
        inputs[1].getType() != RankedTensorType::get(type.getShape().take_front(), type.getElementType()))
      return emitError() << "scale_rows needs an f32 input of its own type " << type << " and a factor for each of its rows";
    return success();
  }
  if (inputs.size() != 1)
    return emitError() << stringifyRecipeKind(kind) << " needs one input, but has " << inputs.size();
  return verifyUnary(emitError, kind, type, params, name, factor, inputs[0].getType());
}

//===-- Recipes: text ---------------------------------------------------------------------------------------------------------------------===//

Attribute RecipeAttr::parse(AsmParser &parser, Type) {
  StringRef word;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseKeyword(&word))
    return {};
  std::optional<RecipeKind> kind = symbolizeRecipeKind(word);
  if (!kind)
    return parser.emitError(loc, "unknown recipe step '") << word << "'", Attribute();
  StringAttr name;
  // Not parseOptionalAttribute: a string attribute would take the type that follows for its own.
  std::string text;
  if (succeeded(parser.parseOptionalString(&text)))
    name = parser.getBuilder().getStringAttr(text);
  FloatAttr factor;
  double value = 0;
  if (*kind == RecipeKind::Scale || *kind == RecipeKind::InverseRoot) {
    if (parser.parseFloat(value))
      return {};
    factor = parser.getBuilder().getF64FloatAttr(value);
  }
  SmallVector<int64_t> params;
  auto parseParam = [&] { return parser.parseInteger(params.emplace_back()); };
  if (succeeded(parser.parseOptionalLSquare()) &&
      (parser.parseCommaSeparatedList(parseParam) || parser.parseRSquare()))
    return {};
  SmallVector<RecipeAttr> inputs;
  auto parseInput = [&] { return parser.parseAttribute(inputs.emplace_back()); };
  if (succeeded(parser.parseOptionalLParen()) &&
      (parser.parseCommaSeparatedList(parseInput) || parser.parseRParen()))
    return {};
  RankedTensorType type;
  if (parser.parseColonType(type) || parser.parseGreater())
    return {};
  return parser.getChecked<RecipeAttr>(loc, parser.getContext(), *kind, type, name, params, factor, inputs);
}

void RecipeAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyRecipeKind(getKind());
  if (getName())
    printer << ' ' << getName();
  if (getFactor())
    printer << ' ' << getFactor().getValue();
  if (!getParams().empty()) {
    printer << " [";
    llvm::interleaveComma(getParams(), printer);
    printer << ']';
  }
  if (!getInputs().empty()) {
    printer << " (";
    llvm::interleaveComma(getInputs(), printer, [&](RecipeAttr input) { printer.printAttribute(input); });
    printer << ')';
  }
  printer << " : " << getType() << '>';
}

//===-- Layouts, symbols --------------------------------------------------------------------------------------------------------------===//

LogicalResult LayoutAttr::verify(EmitError emitError, StringRef name) {
  constexpr StringLiteral known[] = {"f32.panel16", "f32.vector", "f32.rows", "f32.winograd16",
                                  "bf16.panel16", "bf16.rows", "f16.panel16", "f16.rows"};
  if (llvm::is_contained(known, name))
    return success();
  return emitError() << "unknown layout \"" << name << "\"; there are f32.panel16, f32.vector, f32.rows and f32.winograd16, bf16.panel16, bf16.rows, f16.panel16 "
                     << "and f16.rows";
}

LogicalResult SymbolInfoAttr::verify(EmitError emitError, StringAttr name, int64_t min, int64_t likely, int64_t max) {
  if (name.getValue().empty() || min < 1 || likely < min || max < likely)
    return emitError() << "a symbol needs a name and 1 <= minimum <= likely <= maximum, but has " << name << ", " << min << ", " << likely
                       << ", " << max;
  return success();
}
