//===-- Recipe.cpp - evaluates weight recipes
//-----------------------------------------------------===//
//
// A step is evaluated over a box of its result, into memory with a stride per
// axis; most steps turn the box of their result into boxes of their inputs, so
// that nothing but the box exists in memory. Only `reshape` has no boxes: it
// cuts its box into runs of consecutive elements, and each run into boxes of
// its input.
//
//===----------------------------------------------------------------------------------------------===//
#include "codegen/package/Recipe.h"
#include "codegen/package/Convert.h"
#include "codegen/package/Error.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>

using namespace llvm;
using vlmc::vlm::RecipeAttr;
using vlmc::vlm::RecipeKind;

namespace vlmc {

using Coords = SmallVector<int64_t, 6>;

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

/// The strides of a dense row-major array.
static Coords denseStrides(ArrayRef<int64_t> shape) {
  Coords strides(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

//===-- Boxes
//-----------------------------------------------------------------------------------------===//

namespace {
/// A box of a step's result and where its elements go: (i, j, ...) of the box
/// to out[i * strides[0] + j * strides[1] + ...].
struct Box {
  Coords begin;
  Coords size;
  Coords strides;
  float *out;
};
} // namespace

/// Calls `visit(index, out)` for the first element of each line along the last
/// axis.
template <typename Visit> static void forEachLine(const Box &box, Visit visit) {
  size_t outer = box.size.empty() ? 0 : box.size.size() - 1;
  if (product(box.size) == 0)
    return;
  Coords index(box.begin);
  while (true) {
    float *out = box.out;
    for (size_t axis = 0; axis < outer; ++axis)
      out += (index[axis] - box.begin[axis]) * box.strides[axis];
    visit(ArrayRef<int64_t>(index), out);
    size_t axis = outer;
    while (axis > 0) {
      --axis;
      if (++index[axis] < box.begin[axis] + box.size[axis])
        break;
      index[axis] = box.begin[axis];
      if (axis == 0)
        return;
    }
    if (outer == 0)
      return;
  }
}

/// Applies a function to every element of the box in place.
template <typename Function>
static void mapBox(const Box &box, Function function) {
  int64_t count = box.size.empty() ? 1 : box.size.back();
  int64_t stride = box.size.empty() ? 1 : box.strides.back();
  forEachLine(box, [&](ArrayRef<int64_t>, float *out) {
    for (int64_t i = 0; i < count; ++i)
      out[i * stride] = function(out[i * stride]);
  });
}

template <typename Stored, typename ToFloat>
static void readLines(const WeightTensor &tensor, const Box &box,
                      ToFloat toFloat) {
  Coords strides = denseStrides(tensor.shape);
  int64_t count = box.size.empty() ? 1 : box.size.back();
  int64_t stride = box.size.empty() ? 1 : box.strides.back();
  forEachLine(box, [&](ArrayRef<int64_t> index, float *out) {
    int64_t first = 0;
    for (auto [i, s] : zip_equal(index, strides))
      first += i * s;
    const uint8_t *data = tensor.data + first * sizeof(Stored);
    for (int64_t i = 0; i < count; ++i) {
      Stored stored; // the file promises no alignment
      std::memcpy(&stored, data + i * sizeof(Stored), sizeof(Stored));
      out[i * stride] = toFloat(stored);
    }
  });
}

/// The elements of a tensor that its source makes as they are read.
static void makeLines(const WeightSource &source, const WeightTensor &tensor,
                      const Box &box) {
  Coords strides = denseStrides(tensor.shape);
  int64_t count = box.size.empty() ? 1 : box.size.back();
  int64_t stride = box.size.empty() ? 1 : box.strides.back();
  std::vector<float> line(stride == 1 ? 0 : count);
  forEachLine(box, [&](ArrayRef<int64_t> index, float *out) {
    int64_t first = 0;
    for (auto [i, s] : zip_equal(index, strides))
      first += i * s;
    if (stride == 1)
      return source.make(tensor, first, count, out);
    source.make(tensor, first, count, line.data());
    for (int64_t i = 0; i < count; ++i)
      out[i * stride] = line[i];
  });
}

static void readBox(const WeightSource &source, const WeightTensor &tensor,
                    const Box &box) {
  if (!tensor.data)
    return makeLines(source, tensor, box);
  auto cast = [](auto value) { return static_cast<float>(value); };
  switch (tensor.type) {
  case StoredType::F32:
    return readLines<float>(tensor, box, cast);
  case StoredType::F16:
    return readLines<uint16_t>(tensor, box, halfToFloat);
  case StoredType::BF16:
    return readLines<uint16_t>(tensor, box, bfloatToFloat);
  case StoredType::F64:
    return readLines<double>(tensor, box, cast);
  case StoredType::I64:
    return readLines<int64_t>(tensor, box, cast);
  case StoredType::I32:
    return readLines<int32_t>(tensor, box, cast);
  case StoredType::I16:
    return readLines<int16_t>(tensor, box, cast);
  case StoredType::I8:
    return readLines<int8_t>(tensor, box, cast);
  case StoredType::U8:
    return readLines<uint8_t>(tensor, box, cast);
  case StoredType::Bool:
    return readLines<uint8_t>(tensor, box,
                              [](uint8_t v) { return v ? 1.0f : 0.0f; });
  }
}

//===-- Runs of consecutive elements
//-----------------------------------------------------------------===//

/// Cuts elements [start, start + count) of a dense array into boxes, in order.
template <typename Visit>
static void forEachBoxOfRun(ArrayRef<int64_t> shape, int64_t start,
                            int64_t count, Visit visit) {
  Coords strides = denseStrides(shape);
  while (count > 0) {
    // The outermost axis along which a whole step fits, from where we are.
    size_t axis = 0;
    while (axis < shape.size() &&
           (start % strides[axis] != 0 || count < strides[axis]))
      ++axis;
    Coords begin(shape.size()), size(shape.size(), 1);
    int64_t rest = start;
    for (size_t i = 0; i < shape.size(); ++i) {
      begin[i] = rest / strides[i];
      rest %= strides[i];
    }
    int64_t elements = 1;
    if (axis < shape.size()) {
      size[axis] = std::min(count / strides[axis], shape[axis] - begin[axis]);
      for (size_t i = axis + 1; i < shape.size(); ++i)
        size[i] = shape[i];
      elements = size[axis] * strides[axis];
    }
    visit(begin, size, elements);
    start += elements;
    count -= elements;
  }
}

namespace {
class Evaluator {
public:
  explicit Evaluator(const WeightSource &source) : source(source) {}

  void evaluate(RecipeAttr recipe, const Box &box) const;

  /// Evaluates elements [start, start + count) of the result, in row-major
  /// order.
  void evaluateRun(RecipeAttr recipe, int64_t start, int64_t count,
                   float *out) const {
    forEachBoxOfRun(recipe.getType().getShape(), start, count,
                    [&](const Coords &begin, const Coords &size, int64_t n) {
                      evaluate(recipe, {begin, size, denseStrides(size), out});
                      out += n;
                    });
  }

private:
  void evaluateConcat(RecipeAttr recipe, const Box &box) const;
  void evaluateTranspose(RecipeAttr recipe, const Box &box) const;
  void evaluateReshape(RecipeAttr recipe, const Box &box) const;
  void evaluateAdd(RecipeAttr recipe, const Box &box) const;
  void evaluateScaleRows(RecipeAttr recipe, const Box &box) const;
  void evaluateTakeRows(RecipeAttr recipe, const Box &box) const;
  void evaluateConvert(RecipeAttr recipe, const Box &box) const;
  void evaluateLinear(RecipeAttr recipe, const Box &box) const;
  void evaluateRowSquares(RecipeAttr recipe, const Box &box) const;

  const WeightSource &source;
};
} // namespace

void Evaluator::evaluateConcat(RecipeAttr recipe, const Box &box) const {
  int64_t axis = recipe.getParams()[0];
  int64_t first = 0; // of the input, along the axis
  for (RecipeAttr input : recipe.getInputs()) {
    int64_t end = first + input.getType().getDimSize(axis);
    int64_t from = std::max(first, box.begin[axis]);
    int64_t to = std::min(end, box.begin[axis] + box.size[axis]);
    if (from < to) {
      Box part = box;
      part.begin[axis] = from - first;
      part.size[axis] = to - from;
      part.out += (from - box.begin[axis]) * box.strides[axis];
      evaluate(input, part);
    }
    first = end;
  }
}

void Evaluator::evaluateTranspose(RecipeAttr recipe, const Box &box) const {
  Box part = box;
  for (auto [axis, from] : enumerate(recipe.getParams())) {
    part.begin[from] = box.begin[axis];
    part.size[from] = box.size[axis];
    part.strides[from] = box.strides[axis];
  }
  evaluate(recipe.getInputs()[0], part);
}

void Evaluator::evaluateReshape(RecipeAttr recipe, const Box &box) const {
  // Lines along the last axis are runs; where the box is whole and dense behind
  // an axis, so are its blocks from there on.
  ArrayRef<int64_t> shape = recipe.getType().getShape();
  Coords strides = denseStrides(shape);
  RecipeAttr input = recipe.getInputs()[0];
  size_t rank = shape.size();
  size_t axis = rank;
  int64_t run = 1;
  while (axis > 0 && box.strides[axis - 1] == run) {
    --axis;
    run *= box.size[axis];
    if (box.size[axis] != shape[axis])
      break;
  }
  bool dense = axis < rank;
  if (!dense && rank > 0)
    run = box.size.back(), axis = rank - 1;

  Box lines = box;
  for (size_t i = axis; i < rank; ++i)
    lines.size[i] = 1;
  std::vector<float> buffer(dense ? 0 : run);
  forEachLine(lines, [&](ArrayRef<int64_t> index, float *out) {
    int64_t start = 0;
    for (auto [i, s] : zip_equal(index, strides))
      start += i * s;
    if (dense || rank == 0)
      return evaluateRun(input, start, run, out);
    evaluateRun(input, start, run, buffer.data());
    for (int64_t i = 0; i < run; ++i)
      out[i * box.strides.back()] = buffer[i];
  });
}

void Evaluator::evaluateAdd(RecipeAttr recipe, const Box &box) const {
  evaluate(recipe.getInputs()[0], box);
  std::vector<float> other(product(box.size));
  evaluate(recipe.getInputs()[1],
           {box.begin, box.size, denseStrides(box.size), other.data()});
  const float *next = other.data();
  mapBox(box, [&](float value) { return value + *next++; });
}

void Evaluator::evaluateScaleRows(RecipeAttr recipe, const Box &box) const {
  evaluate(recipe.getInputs()[0], box);
  std::vector<float> factors(box.size[0]);
  evaluate(recipe.getInputs()[1],
           {{box.begin[0]}, {box.size[0]}, {1}, factors.data()});
  Box row = box;
  row.size[0] = 1;
  for (float factor : factors) {
    mapBox(row, [=](float value) { return value * factor; });
    ++row.begin[0];
    row.out += box.strides[0];
  }
}

void Evaluator::evaluateTakeRows(RecipeAttr recipe, const Box &box) const {
  Box row = box;
  row.size[0] = 1;
  for (int64_t i = 0; i < box.size[0]; ++i) {
    row.begin[0] = recipe.getParams()[box.begin[0] + i];
    evaluate(recipe.getInputs()[0], row);
    row.out += box.strides[0];
  }
}

void Evaluator::evaluateConvert(RecipeAttr recipe, const Box &box) const {
  evaluate(recipe.getInputs()[0], box);
  mlir::Type type = recipe.getType().getElementType();
  if (type.isF16())
    mapBox(box, [](float value) { return halfToFloat(floatToHalf(value)); });
  else if (type.isBF16())
    mapBox(box,
           [](float value) { return bfloatToFloat(floatToBfloat(value)); });
}

/// One row of the input and one of the weight at a time, so that memory stays
/// small; the chain of fused multiply-adds is that of the kernels.
void Evaluator::evaluateLinear(RecipeAttr recipe, const Box &box) const {
  RecipeAttr input = recipe.getInputs()[0], weight = recipe.getInputs()[1];
  int64_t k = weight.getType().getDimSize(1);
  ArrayRef<int64_t> rows = input.getType().getShape().drop_back();
  Coords strides = denseStrides(rows);
  std::vector<float> x(k), w(k);
  forEachLine(box, [&](ArrayRef<int64_t> index, float *out) {
    int64_t row = 0;
    for (auto [i, s] : zip_equal(index.drop_back(), strides))
      row += i * s;
    evaluateRun(input, row * k, k, x.data());
    for (int64_t n = 0; n < box.size.back(); ++n) {
      evaluateRun(weight, (index.back() + n) * k, k, w.data());
      float sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum = std::fma(x[i], w[i], sum);
      if (recipe.getInputs().size() == 3) {
        float bias = 0;
        evaluateRun(recipe.getInputs()[2], index.back() + n, 1, &bias);
        sum += bias;
      }
      out[n * box.strides.back()] = sum;
    }
  });
}

void Evaluator::evaluateRowSquares(RecipeAttr recipe, const Box &box) const {
  RecipeAttr input = recipe.getInputs()[0];
  int64_t k = input.getType().getDimSize(1);
  std::vector<float> row(k);
  for (int64_t n = 0; n < box.size[0]; ++n) {
    evaluateRun(input, (box.begin[0] + n) * k, k, row.data());
    double sum = 0;
    for (double value : row)
      sum += value * value;
    box.out[n * box.strides[0]] = static_cast<float>(sum);
  }
}

void Evaluator::evaluate(RecipeAttr recipe, const Box &box) const {
  switch (recipe.getKind()) {
  case RecipeKind::Read:
    return readBox(source, *source.find(recipe.getName().getValue()), box);
  case RecipeKind::Concat:
    return evaluateConcat(recipe, box);
  case RecipeKind::Transpose:
    return evaluateTranspose(recipe, box);
  case RecipeKind::Slice: {
    Box part = box;
    part.begin[recipe.getParams()[0]] += recipe.getParams()[1];
    return evaluate(recipe.getInputs()[0], part);
  }
  case RecipeKind::Scale: {
    evaluate(recipe.getInputs()[0], box);
    auto factor = static_cast<float>(recipe.getFactor().getValueAsDouble());
    return mapBox(box, [=](float value) { return value * factor; });
  }
  case RecipeKind::Exp:
    evaluate(recipe.getInputs()[0], box);
    // Through double: correctly rounded, whatever the machine's expf does.
    return mapBox(box, [](float value) {
      return static_cast<float>(std::exp(static_cast<double>(value)));
    });
  case RecipeKind::InverseRoot: {
    evaluate(recipe.getInputs()[0], box);
    double epsilon = recipe.getFactor().getValueAsDouble();
    return mapBox(box, [=](float value) {
      return static_cast<float>(1 / std::sqrt(value + epsilon));
    });
  }
  case RecipeKind::ScaleRows:
    return evaluateScaleRows(recipe, box);
  case RecipeKind::TakeRows:
    return evaluateTakeRows(recipe, box);
  case RecipeKind::Reshape:
    return evaluateReshape(recipe, box);
  case RecipeKind::Convert:
    return evaluateConvert(recipe, box);
  case RecipeKind::Add:
    return evaluateAdd(recipe, box);
  case RecipeKind::Linear:
    return evaluateLinear(recipe, box);
  case RecipeKind::RowSquares:
    return evaluateRowSquares(recipe, box);
  case RecipeKind::Count:
    for (int64_t i = 0; i < box.size[0] * box.size[1]; ++i)
      box.out[i * box.strides[1]] =
          static_cast<float>(recipe.getParams()[0] + box.begin[1] + i);
    return;
  case RecipeKind::Pack:
    llvm_unreachable("checkRecipe rejects a pack that is not the last step");
  }
}

//===-- Checks
//----------------------------------------------------------------------------------------===//

static std::string describe(StringRef type, ArrayRef<int64_t> shape) {
  std::string text;
  raw_string_ostream os(text);
  os << type << " [";
  interleaveComma(shape, os);
  os << ']';
  return text;
}

/// The stored type that a recipe's element type stands for.
static std::optional<StoredType> getStoredType(mlir::Type type) {
  if (type.isF32())
    return StoredType::F32;
  if (type.isF16())
    return StoredType::F16;
  if (type.isBF16())
    return StoredType::BF16;
  if (type.isF64())
    return StoredType::F64;
  if (type.isInteger(64))
    return StoredType::I64;
  if (type.isInteger(32))
    return StoredType::I32;
  if (type.isInteger(16))
    return StoredType::I16;
  if (type.isUnsignedInteger(8))
    return StoredType::U8;
  if (type.isInteger(8))
    return StoredType::I8;
  if (type.isInteger(1))
    return StoredType::Bool;
  return std::nullopt;
}

static std::string describe(mlir::RankedTensorType type) {
  if (auto stored = getStoredType(type.getElementType()))
    return describe(StringRef(storedTypeName(*stored)), type.getShape());
  std::string text;
  raw_string_ostream(text) << type;
  return text;
}

static Error checkRead(StringRef weight, RecipeAttr recipe,
                       const WeightSource &source) {
  StringRef name = recipe.getName().getValue();
  const WeightTensor *tensor = source.find(name);
  std::string expected = describe(recipe.getType());
  if (!tensor)
    return userError("the checkpoint has no tensor '" + name +
                     "', which weight '" + weight + "' is made of (expected " +
                     expected + ")");
  if (getStoredType(recipe.getType().getElementType()) != tensor->type ||
      recipe.getType().getShape() != ArrayRef<int64_t>(tensor->shape))
    return userError(
        tensor->file + ": tensor '" + name + "' of weight '" + weight +
        "': expected " + expected + ", found " +
        describe(StringRef(storedTypeName(tensor->type)), tensor->shape));
  if (tensor->bytes != static_cast<uint64_t>(product(tensor->shape) *
                                             storedTypeBytes(tensor->type)))
    return userError(
        tensor->file + ": tensor '" + name + "': expected " +
        Twine(product(tensor->shape) * storedTypeBytes(tensor->type)) +
        " bytes, found " + Twine(tensor->bytes));
  return Error::success();
}

static Error checkStep(StringRef weight, RecipeAttr recipe,
                       const WeightSource &source) {
  switch (recipe.getKind()) {
  case RecipeKind::Read:
    return checkRead(weight, recipe, source);
  case RecipeKind::Pack:
    return internalError("weight '" + weight +
                         "': 'pack' must be the last step of its recipe");
  case RecipeKind::Convert:
    if (!isa<mlir::FloatType>(recipe.getType().getElementType()))
      return internalError("weight '" + weight + "': 'convert' to " +
                           describe(recipe.getType()) +
                           ": expected a float type");
    break;
  default:
    break;
  }
  for (RecipeAttr input : recipe.getInputs())
    if (Error error = checkStep(weight, input, source))
      return error;
  return Error::success();
}

/// The recipe without its `pack`.
static RecipeAttr getUnpacked(RecipeAttr recipe) {
  return recipe.getKind() == RecipeKind::Pack ? recipe.getInputs()[0] : recipe;
}

static bool isPanels(const StoredForm &form) {
  return StringRef(form.layout).ends_with(".panel16");
}

static bool isWinograd(const StoredForm &form) {
  return form.layout == "f32.winograd16";
}

Error checkRecipe(StringRef weight, RecipeAttr recipe,
                  const WeightSource &source) {
  RecipeAttr unpacked = getUnpacked(recipe);
  if (!unpacked.getType().getElementType().isF32())
    return internalError("weight '" + weight + "' ends in " +
                         describe(unpacked.getType()) +
                         ": expected F32 (a recipe ends in a 'convert')");
  StoredForm form = getStoredForm(recipe);
  if (isPanels(form) && unpacked.getType().getRank() < 2)
    return internalError("weight '" + weight + "': layout " + form.layout +
                         " needs [N, K], found " +
                         describe(unpacked.getType()));
  ArrayRef<int64_t> shape = unpacked.getType().getShape();
  if (isWinograd(form) && (shape.size() != 4 || shape[1] != 3 || shape[2] != 3))
    return internalError("weight '" + weight + "': layout " + form.layout +
                         " needs [N, 3, 3, C], found " +
                         describe(unpacked.getType()));
  return checkStep(weight, unpacked, source);
}

//===-- Stored forms
//------------------------------------------------------------------------------------===//

static constexpr int64_t panelWidth = 16;

/// Bytes of a stored element.
static int64_t widthOf(const StoredForm &form) {
  return form.dtype == "F32" ? 4 : 2;
}

StoredForm getStoredForm(RecipeAttr recipe) {
  StoredForm form;
  form.layout = recipe.getKind() == RecipeKind::Pack
                    ? recipe.getName().getValue().str()
                    : "f32.rows";
  auto [storage, order] = StringRef(form.layout).split('.');
  form.dtype = storage.upper();
  ArrayRef<int64_t> shape = recipe.getType().getShape();
  if (order == "panel16" && !shape.empty()) {
    int64_t panels = divideCeil(shape[0], panelWidth);
    int64_t k = product(shape.drop_front());
    if (storage == "bf16")
      form.shape = {panels, static_cast<int64_t>(divideCeil(k, 2)), panelWidth,
                    2};
    else
      form.shape = {panels, k, panelWidth};
  } else if (order == "winograd16") {
    form.shape = {static_cast<int64_t>(divideCeil(shape[0], panelWidth)), 16,
                  shape.back(), panelWidth};
  } else if (order == "vector") {
    form.shape = {static_cast<int64_t>(alignTo(product(shape), panelWidth))};
  } else {
    form.shape = shape.vec();
  }
  form.bytes = static_cast<uint64_t>(product(form.shape) * widthOf(form));
  return form;
}

namespace {
/// Turns values into what is stored, a piece at a time.
class Narrower {
public:
  Narrower(StringRef weight, const StoredForm &form)
      : weight(weight), form(form) {}

  /// The bytes of the values in their order; gone with the next call.
  Expected<ArrayRef<uint8_t>> bytes(ArrayRef<float> values) {
    if (form.dtype == "F32")
      return ArrayRef(reinterpret_cast<const uint8_t *>(values.data()),
                      values.size() * sizeof(float));
    stored.resize(values.size());
    for (auto [to, from] : zip_equal(stored, values)) {
      to = form.dtype == "F16" ? floatToHalf(from) : floatToBfloat(from);
      if (form.dtype == "F16" && (to & 0x7fff) == 0x7c00 && !std::isinf(from))
        return userError("weight '" + weight + "' holds " +
                         Twine(std::to_string(from)) +
                         ", which is beyond the range of f16 (65504); store "
                         "the weights with --weights bf16 or f32");
    }
    return ArrayRef(reinterpret_cast<const uint8_t *>(stored.data()),
                    stored.size() * sizeof(uint16_t));
  }

private:
  StringRef weight;
  const StoredForm &form;
  std::vector<uint16_t> stored;
};
} // namespace

namespace {
/// Writes rows [first, first + count) of a weight as one panel.
using PanelWriter =
    function_ref<void(int64_t first, int64_t count, float *out)>;
} // namespace

/// A weight of `n` rows panel by panel, in pieces of at least one.
static Error writePanels(int64_t n, const StoredForm &form,
                         PanelWriter writePanel, Narrower &narrower,
                         PieceSink sink, uint64_t pieceBytes) {
  int64_t panels = form.shape[0];
  int64_t panelElements = product(ArrayRef(form.shape).drop_front());
  int64_t panelBytes = panelElements * widthOf(form);
  int64_t step = std::max<int64_t>(
      1, pieceBytes / std::max<int64_t>(1, panelElements * sizeof(float)));
  std::vector<float> piece;
  for (int64_t first = 0; first < panels; first += step) {
    int64_t count = std::min(step, panels - first);
    piece.assign(count * panelElements, 0.0f);
    for (int64_t panel = 0; panel < count; ++panel) {
      int64_t row = (first + panel) * panelWidth;
      writePanel(row, std::min(panelWidth, n - row),
                 piece.data() + panel * panelElements);
    }
    Expected<ArrayRef<uint8_t>> bytes = narrower.bytes(piece);
    if (!bytes)
      return bytes.takeError();
    if (Error error = sink(first * panelBytes, *bytes))
      return error;
  }
  return Error::success();
}

/// G w G^T of a 3 x 3 window whose values are `stride` apart, to places that
/// are `outStride` apart.
static void transformWindow(const float *window, int64_t stride, float *out,
                            int64_t outStride) {
  auto spread = [](double a, double b, double c) {
    return std::array<double, 4>{a, (a + b + c) / 2, (a - b + c) / 2, c};
  };
  std::array<std::array<double, 4>, 3> rows;
  for (int64_t y = 0; y < 3; ++y) {
    const float *row = window + y * 3 * stride;
    rows[y] = spread(row[0], row[stride], row[2 * stride]);
  }
  for (int64_t x = 0; x < 4; ++x) {
    std::array<double, 4> column = spread(rows[0][x], rows[1][x], rows[2][x]);
    for (int64_t y = 0; y < 4; ++y)
      out[(y * 4 + x) * outStride] = static_cast<float>(column[y]);
  }
}

/// A weight in panels: [N, ...] seen as [N, K].
static Error evaluatePanels(RecipeAttr recipe, const Evaluator &evaluator,
                            const StoredForm &form, Narrower &narrower,
                            PieceSink sink, uint64_t pieceBytes) {
  ArrayRef<int64_t> shape = recipe.getType().getShape();
  int64_t n = shape[0], k = product(shape.drop_front());
  RecipeAttr matrix =
      shape.size() == 2 ? recipe : RecipeAttr::reshape({n, k}, recipe);
  std::vector<float> plain;
  auto readRows = [&](int64_t row, int64_t rows) {
    plain.resize(rows * k);
    evaluator.evaluate(matrix, {{row, 0}, {rows, k}, {k, 1}, plain.data()});
  };
  auto writeColumns = [&](int64_t row, int64_t rows, float *out) {
    evaluator.evaluate(matrix, {{row, 0}, {rows, k}, {1, panelWidth}, out});
  };
  // Neighbours along K together: an axis of pairs over one within the pair.
  auto writePairs = [&](int64_t row, int64_t rows, float *out) {
    readRows(row, rows);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < k; ++j)
        out[(j / 2 * panelWidth + i) * 2 + j % 2] = plain[i * k + j];
  };
  auto writeWindows = [&](int64_t row, int64_t rows, float *out) {
    int64_t channels = shape.back();
    readRows(row, rows);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < channels; ++c)
        transformWindow(plain.data() + i * k + c, channels,
                        out + c * panelWidth + i, channels * panelWidth);
  };
  auto write = [&](PanelWriter writer) {
    return writePanels(n, form, writer, narrower, sink, pieceBytes);
  };
  if (isWinograd(form))
    return write(writeWindows);
  return form.dtype == "BF16" ? write(writePairs) : write(writeColumns);
}

Error evaluateRecipe(StringRef weight, RecipeAttr recipe,
                     const WeightSource &source, PieceSink sink,
                     uint64_t pieceBytes) {
  Evaluator evaluator(source);
  StoredForm form = getStoredForm(recipe);
  Narrower narrower(weight, form);
  RecipeAttr unpacked = getUnpacked(recipe);
  if (isPanels(form) || isWinograd(form))
    return evaluatePanels(unpacked, evaluator, form, narrower, sink,
                          pieceBytes);

  int64_t elements = product(unpacked.getType().getShape());
  int64_t stored = form.bytes / widthOf(form);
  int64_t step = std::max<int64_t>(panelWidth, pieceBytes / sizeof(float));
  std::vector<float> piece;
  for (int64_t start = 0; start < stored; start += step) {
    piece.assign(std::min(step, stored - start), 0.0f);
    int64_t count = std::min<int64_t>(piece.size(), elements - start);
    if (count > 0)
      evaluator.evaluateRun(unpacked, start, count, piece.data());
    Expected<ArrayRef<uint8_t>> bytes = narrower.bytes(piece);
    if (!bytes)
      return bytes.takeError();
    if (Error error = sink(start * widthOf(form), *bytes))
      return error;
  }
  return Error::success();
}

} // namespace vlmc
