//===-- VlmOps.cpp - verifiers, dims and text of the vlm ops
//-----------------------------------------------------------------------------===//
#include "ir/Vlm/VlmOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace vlmc::vlm;

#define GET_OP_CLASSES
#include "ir/Vlm/VlmOps.cpp.inc"

//===-- Helpers
//-----------------------------------------------------------------------------------------------------------------------===//

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Whether two sizes can be equal at run time.
static bool sizesAgree(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
}

static bool shapesAgree(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           return sizesAgree(std::get<0>(pair), std::get<1>(pair));
         });
}

/// Writes a shape as [2, ?, 64].
static std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, size] : llvm::enumerate(shape))
    text +=
        (i ? ", " : "") +
        (ShapedType::isDynamic(size) ? std::string("?") : std::to_string(size));
  return text + "]";
}

static LogicalResult checkRank(Operation *op, StringRef what, Value value,
                               int64_t rank) {
  if (typeOf(value).getRank() == rank)
    return success();
  return op->emitOpError() << "'" << what << "' must have rank " << rank
                           << ", but is " << typeOf(value);
}

/// Checks that a value has the given shape exactly (dynamic where the shape
/// says so).
static LogicalResult checkShape(Operation *op, StringRef what, Value value,
                                ArrayRef<int64_t> shape) {
  if (shapesAgree(typeOf(value).getShape(), shape))
    return success();
  return op->emitOpError() << "'" << what << "' must have shape "
                           << shapeText(shape) << ", but is " << typeOf(value);
}

static LogicalResult checkStatic(Operation *op, StringRef what, Value value) {
  if (typeOf(value).hasStaticShape())
    return success();
  return op->emitOpError() << "'" << what
                           << "' must have a static shape, but is "
                           << typeOf(value);
}

/// The shape of `value` with its last size replaced.
static SmallVector<int64_t> withFeatures(Value value, int64_t features) {
  SmallVector<int64_t> shape(typeOf(value).getShape());
  shape.back() = features;
  return shape;
}

//===-- Weights
//-----------------------------------------------------------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  if (getRecipe().getType() != getType())
    return emitOpError() << "is " << getType() << ", but its recipe makes "
                         << getRecipe().getType();
  return success();
}

LogicalResult GetWeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight =
      symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "names no weight: '" << getWeight() << "'";
  if (weight.getType() != getResult().getType())
    return emitOpError() << "gives " << getResult().getType()
                         << ", but weight '" << getWeight() << "' is "
                         << weight.getType();
  return success();
}

//===-- Products
//----------------------------------------------------------------------------------------------------------------------===//

LogicalResult LinearOp::verify() {
  if (typeOf(getInput()).getRank() < 1)
    return emitOpError() << "'input' must have at least one dimension, but is "
                         << getInput().getType();
  if (failed(checkRank(*this, "weight", getWeight(), 2)) ||
      failed(checkStatic(*this, "weight", getWeight())))
    return failure();
  int64_t outer = typeOf(getWeight()).getDimSize(0),
          inner = typeOf(getWeight()).getDimSize(1);
  if (getFeatures(getInput()) != inner)
    return emitOpError() << "'input' must have " << inner
                         << " features (K of 'weight' [N, K]), but has "
                         << getFeatures(getInput());
  if (getBias() && failed(checkShape(*this, "bias", getBias(), {outer})))
    return failure();
  return checkShape(*this, "result", getResult(),
                    withFeatures(getInput(), outer));
}

LogicalResult PatchEmbedOp::verify() {
  if (failed(checkRank(*this, "pixels", getPixels(), 4)) ||
      failed(checkRank(*this, "weight", getWeight(), 4)) ||
      failed(checkStatic(*this, "weight", getWeight())))
    return failure();
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape(),
                    pixels = typeOf(getPixels()).getShape();
  if (weight[2] != weight[3] || weight[2] < 1)
    return emitOpError() << "'weight' must hold square patches, but is "
                         << getWeight().getType();
  if (ShapedType::isDynamic(pixels[2]) || ShapedType::isDynamic(pixels[3]))
    return emitOpError()
           << "'pixels' must have static height and width, but is "
           << getPixels().getType();
  if (pixels[1] != weight[1])
    return emitOpError() << "'pixels' must have the " << weight[1]
                         << " channels of 'weight', but is "
                         << getPixels().getType();
  int64_t patches = (pixels[2] / weight[2]) * (pixels[3] / weight[2]);
  if (patches < 1)
    return emitOpError() << "'pixels' must hold at least one patch of "
                         << weight[2] << "x" << weight[2] << ", but is "
                         << getPixels().getType();
  if (getBias() && failed(checkShape(*this, "bias", getBias(), {weight[0]})))
    return failure();
  return checkShape(*this, "result", getResult(),
                    {pixels[0], patches, weight[0]});
}

/// Checks the picture that `input` holds as rows of pixels.
static LogicalResult checkPicture(Operation *op, Value input, int64_t height,
                                  int64_t width) {
  if (height < 1 || width < 1)
    return op->emitOpError() << "'height' and 'width' must be at least 1, but "
                                "are "
                             << height << " and " << width;
  if (failed(checkRank(op, "input", input, 3)))
    return failure();
  ArrayRef<int64_t> shape = typeOf(input).getShape();
  if (shape[1] != height * width || ShapedType::isDynamic(shape[2]))
    return op->emitOpError()
           << "'input' must hold " << height << "x" << width
           << " pixels of static channels, but is " << input.getType();
  return success();
}

/// Checks stride, padding and the size of a kernel's window against a picture.
template <class OpType>
static LogicalResult checkWindow(OpType op, int64_t down, int64_t across) {
  ArrayRef<int64_t> padding = op.getPadding();
  if (static_cast<int64_t>(op.getStride()) < 1 || padding.size() != 4 ||
      llvm::any_of(padding, [](int64_t size) { return size < 0; }))
    return op.emitOpError()
           << "needs a 'stride' of at least 1 and a 'padding' of "
              "four sizes, but has "
           << op.getStride() << " and [" << padding << "]";
  int64_t height = op.getHeight(), width = op.getWidth();
  if (height + padding[0] + padding[2] < down ||
      width + padding[1] + padding[3] < across)
    return op.emitOpError() << "has a kernel of " << down << "x" << across
                            << ", which is larger than the padded picture";
  return success();
}

/// How many windows there are, down and across.
template <class OpType>
static std::pair<int64_t, int64_t> countWindows(OpType op, int64_t down,
                                                int64_t across) {
  ArrayRef<int64_t> padding = op.getPadding();
  int64_t stride = op.getStride();
  int64_t height = op.getHeight(), width = op.getWidth();
  return {(height + padding[0] + padding[2] - down) / stride + 1,
          (width + padding[1] + padding[3] - across) / stride + 1};
}

std::pair<int64_t, int64_t> Conv2dOp::getResultSize() {
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape();
  return countWindows(*this, weight[1], weight[2]);
}

std::pair<int64_t, int64_t> DepthwiseConv2dOp::getResultSize() {
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape();
  return countWindows(*this, weight[0], weight[1]);
}

LogicalResult DepthwiseConv2dOp::verify() {
  if (failed(checkRank(*this, "weight", getWeight(), 3)) ||
      failed(checkStatic(*this, "weight", getWeight())) ||
      failed(checkPicture(*this, getInput(), getHeight(), getWidth())))
    return failure();
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape();
  if (int64_t channels = getFeatures(getInput()); channels != weight[2])
    return emitOpError() << "'input' must have the " << weight[2]
                         << " channels of 'weight', but has " << channels;
  if (failed(checkWindow(*this, weight[0], weight[1])) ||
      (getBias() && failed(checkShape(*this, "bias", getBias(), {weight[2]}))))
    return failure();
  auto [down, across] = getResultSize();
  return checkShape(
      *this, "result", getResult(),
      {typeOf(getInput()).getDimSize(0), down * across, weight[2]});
}

LogicalResult Conv2dOp::verify() {
  if (failed(checkRank(*this, "weight", getWeight(), 4)) ||
      failed(checkStatic(*this, "weight", getWeight())))
    return failure();
  ArrayRef<int64_t> weight = typeOf(getWeight()).getShape();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  int64_t height = getHeight(), width = getWidth();
  if (!readsPlanes() && failed(checkPicture(*this, getInput(), height, width)))
    return failure();
  if (readsPlanes() && (input[2] != height || input[3] != width))
    return emitOpError() << "'input' must be planes of " << height << "x"
                         << width << " pixels, but is " << getInput().getType();
  if (int64_t channels = input[readsPlanes() ? 1 : 2]; channels != weight[3])
    return emitOpError() << "'input' must have the " << weight[3]
                         << " channels of 'weight', but has " << channels;
  if (failed(checkWindow(*this, weight[1], weight[2])) ||
      (getBias() && failed(checkShape(*this, "bias", getBias(), {weight[0]}))))
    return failure();
  auto [down, across] = getResultSize();
  return checkShape(*this, "result", getResult(),
                    {input[0], down * across, weight[0]});
}

LogicalResult AveragePoolOp::verify() {
  int64_t height = getHeight(), width = getWidth(), size = getSize();
  if (failed(checkPicture(*this, getInput(), height, width)))
    return failure();
  if (size < 1 || size > std::min(height, width))
    return emitOpError() << "'size' must be 1 to " << std::min(height, width)
                         << ", but is " << size;
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  return checkShape(*this, "result", getResult(),
                    {input[0], (height / size) * (width / size), input[2]});
}

LogicalResult PixelUnshuffleOp::verify() {
  int64_t height = getHeight(), width = getWidth(), size = getSize();
  if (height < 1 || width < 1 || size < 1 || height % size || width % size)
    return emitOpError() << "'size' must divide 'height' and 'width', but they "
                            "are "
                         << size << ", " << height << " and " << width;
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  if (failed(checkShape(*this, "input", getInput(),
                        {input[0], height * width, input[2]})))
    return failure();
  return checkShape(
      *this, "result", getResult(),
      {input[0], (height / size) * (width / size), size * size * input[2]});
}

/// `distance_bias`: a row for each head, as far behind as before.
static LogicalResult checkDistanceBias(Operation *op, Value bias,
                                       int64_t heads) {
  if (!bias)
    return success();
  ArrayRef<int64_t> shape = typeOf(bias).getShape();
  if (shape.size() != 2 || shape[0] != heads ||
      ShapedType::isDynamic(shape[1]) || shape[1] % 2 == 0)
    return op->emitOpError()
           << "'distance_bias' must have " << heads
           << " rows (num_heads) of an odd number of elements, but is "
           << bias.getType();
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(checkRank(*this, "query", getQuery(), 3)) ||
      failed(checkRank(*this, "key", getKey(), 3)))
    return failure();
  int64_t heads = getNumHeads(), keyHeads = getNumKvHeads();
  if (heads < 1 || keyHeads < 1 || heads % keyHeads != 0)
    return emitOpError()
           << "'num_heads' must be a multiple of 'num_kv_heads', but they are "
           << heads << " and " << keyHeads;
  int64_t features = getFeatures(getQuery());
  if (ShapedType::isDynamic(features) || features % heads != 0)
    return emitOpError() << "'query' must have a multiple of " << heads
                         << " features (num_heads), but has " << features;
  ArrayRef<int64_t> query = typeOf(getQuery()).getShape(),
                    key = typeOf(getKey()).getShape();
  int64_t batch = query[0] == 1 ? key[0] : query[0];
  if (failed(checkShape(*this, "key", getKey(),
                        {batch, key[1], features / heads * keyHeads})) ||
      failed(checkShape(*this, "value", getValue(), key)) ||
      failed(checkShape(*this, "result", getResult(),
                        {batch, query[1], query[2]})))
    return failure();
  if (getQueryPosition() && isQueryShared())
    return emitOpError() << "'query_position' must be absent where all "
                            "sequences share 'query', which is "
                         << getQuery().getType();
  if (getQueryPosition() &&
      failed(checkShape(*this, "query_position", getQueryPosition(),
                        query.take_front(2))))
    return failure();
  if (getKeyValid() &&
      failed(checkShape(*this, "key_valid", getKeyValid(), key.take_front(2))))
    return failure();
  if (getAmongInvalid() &&
      (!getKeyValid() || getCausal() || getQueryPosition() ||
       getDistanceBias() || query.take_front(2) != key.take_front(2)))
    return emitOpError() << "'among_invalid' needs 'key_valid' alone and as "
                            "many queries as keys, but 'query' is "
                         << getQuery().getType() << " and 'key' "
                         << getKey().getType();
  return checkDistanceBias(*this, getDistanceBias(), heads);
}

std::pair<unsigned, unsigned> AttentionOp::getDimSource(unsigned,
                                                        unsigned dim) {
  return {dim == 0 ? 1u : 0u, dim};
}

LogicalResult ContrastiveLogitsOp::verify() {
  if (failed(checkRank(*this, "image", getImage(), 2)) ||
      failed(checkRank(*this, "text", getText(), 2)))
    return failure();
  if (getFeatures(getImage()) != getFeatures(getText()))
    return emitOpError() << "'image' and 'text' must have the same number of "
                            "features, but are "
                         << getImage().getType() << " and "
                         << getText().getType();
  if (failed(checkShape(*this, "log_scale", getLogScale(), {1})) ||
      (getBias() && failed(checkShape(*this, "bias", getBias(), {1}))))
    return failure();
  return checkShape(
      *this, "result", getResult(),
      {typeOf(getImage()).getDimSize(0), typeOf(getText()).getDimSize(0)});
}

std::pair<unsigned, unsigned> ContrastiveLogitsOp::getDimSource(unsigned,
                                                                unsigned dim) {
  return {dim, 0};
}

//===-- Row by row
//--------------------------------------------------------------------------------------------------------------------===//

LogicalResult LayerNormOp::verify() {
  if (failed(checkRank(*this, "weight", getWeight(), 1)) ||
      failed(checkStatic(*this, "weight", getWeight())))
    return failure();
  int64_t features = getFeatures(getInput()), group = getFeatures(getWeight());
  if (features % group != 0)
    return emitOpError() << "'weight' must have a divisor of the " << features
                         << " features of 'input', but has " << group;
  if (failed(checkShape(*this, "bias", getBias(), {group})))
    return failure();
  if (int64_t own = getGroup();
      own && (own < 1 || features % own != 0 || group != features))
    return emitOpError() << "'group' must be a divisor of the " << features
                         << " features of 'input' and of 'weight', but is "
                         << own << " with " << group << " weights";
  if (!(getEpsilon().convertToDouble() >= 0))
    return emitOpError() << "'epsilon' must not be negative";
  return success();
}

/// Checks that `groups` divides the channels of `input`.
static LogicalResult checkGroups(Operation *op, Value input, int64_t groups) {
  if (failed(checkRank(op, "input", input, 3)))
    return failure();
  int64_t channels = getFeatures(input);
  if (groups < 1 || ShapedType::isDynamic(channels) || channels % groups != 0)
    return op->emitOpError() << "needs a number of groups that divides the "
                             << channels << " channels of 'input', but has "
                             << groups;
  return success();
}

LogicalResult GroupMomentsOp::verify() {
  auto groups = static_cast<int64_t>(getGroups());
  if (failed(checkGroups(*this, getInput(), groups)))
    return failure();
  if (!(getEpsilon().convertToDouble() >= 0))
    return emitOpError() << "'epsilon' must not be negative";
  return checkShape(*this, "result", getResult(),
                    {typeOf(getInput()).getDimSize(0), groups, 2});
}

LogicalResult GroupNormOp::verify() {
  if (failed(checkRank(*this, "moments", getMoments(), 3)) ||
      failed(checkGroups(*this, getInput(), typeOf(getMoments()).getDimSize(1))))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  if (failed(checkShape(*this, "moments", getMoments(),
                        {input[0], typeOf(getMoments()).getDimSize(1), 2})))
    return failure();
  return checkShape(*this, "weight", getWeight(), {input[2]});
}

LogicalResult MaskFeaturesOp::verify() {
  int64_t features = getFeatures(getInput()), before = 0;
  ArrayRef<int64_t> ranges = getRanges();
  bool isRight = ranges.size() % 2 == 0;
  for (size_t i = 0; isRight && i < ranges.size(); i += 2) {
    isRight = ranges[i] >= before && ranges[i + 1] > ranges[i] &&
              ranges[i + 1] <= features;
    before = ranges[i + 1];
  }
  if (!isRight)
    return emitOpError() << "'ranges' must be ascending pairs of begin and end "
                            "within the "
                         << features << " features of 'input', but are ["
                         << ranges << "]";
  return success();
}

LogicalResult LeastFeatureOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  if (ShapedType::isDynamic(input[2]) || input[2] < 1)
    return emitOpError() << "'input' must have a static number of features, "
                            "but is "
                         << getInput().getType();
  if (getIds() && static_cast<int64_t>(getIds()->size()) != input[2])
    return emitOpError() << "'ids' must hold a number for each of the "
                         << input[2] << " features of 'input', but holds "
                         << getIds()->size();
  return checkShape(*this, "result", getResult(), input.take_front(2));
}

LogicalResult AddOp::verify() {
  ArrayRef<int64_t> lhs = typeOf(getLhs()).getShape(),
                    rhs = typeOf(getRhs()).getShape();
  if (rhs.size() > lhs.size())
    return emitOpError()
           << "'rhs' must not have more dimensions than 'lhs', but they are "
           << getRhs().getType() << " and " << getLhs().getType();
  ArrayRef<int64_t> tail = lhs.take_back(rhs.size());
  if (!shapesAgree(tail, rhs))
    return emitOpError()
           << "'rhs' must have the last dimensions of 'lhs', but they are "
           << getRhs().getType() << " and " << getLhs().getType();
  return success();
}

LogicalResult RmsNormOp::verify() {
  if (failed(checkRank(*this, "weight", getWeight(), 1)) ||
      failed(checkStatic(*this, "weight", getWeight())))
    return failure();
  int64_t features = getFeatures(getInput()), group = getFeatures(getWeight());
  if (features % group != 0)
    return emitOpError() << "'weight' must have a divisor of the " << features
                         << " features of 'input', but has " << group;
  if (!(getEpsilon().convertToDouble() >= 0))
    return emitOpError() << "'epsilon' must not be negative";
  return success();
}

LogicalResult GatedAddOp::verify() {
  if (failed(checkRank(*this, "gate", getGate(), 1)) ||
      failed(checkStatic(*this, "gate", getGate())))
    return failure();
  int64_t features = getFeatures(getResult()), gates = getFeatures(getGate());
  if (gates != 1 && gates != features)
    return emitOpError() << "'gate' must have 1 element or the " << features
                         << " features of 'residual', but has " << gates;
  if (!getShown())
    return success();
  if (failed(checkRank(*this, "residual", getResidual(), 3)))
    return failure();
  return checkShape(*this, "shown", getShown(),
                    typeOf(getResidual()).getShape().take_front(2));
}

LogicalResult RopeTableOp::verify() {
  if (failed(checkRank(*this, "position", getPosition(), 2)))
    return failure();
  ArrayRef<int64_t> position = typeOf(getPosition()).getShape();
  return checkShape(*this, "result", getResult(),
                    {position[0], position[1],
                     2 * static_cast<int64_t>(getFrequencies().size())});
}

LogicalResult RopeOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)) ||
      failed(checkRank(*this, "table", getTable(), 3)))
    return failure();
  int64_t heads = getNumHeads(), features = getFeatures(getInput()),
          rotated = getFeatures(getTable());
  if (heads < 1 || features % heads != 0)
    return emitOpError() << "'input' must have a multiple of " << heads
                         << " features (num_heads), but has " << features;
  if (rotated % 2 != 0 || rotated > features / heads)
    return emitOpError()
           << "'table' must have an even number of features, at most the "
           << features / heads << " of a head, but has " << rotated;
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  return checkShape(*this, "table", getTable(), {input[0], input[1], rotated});
}

//===-- Tokens
//------------------------------------------------------------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  if (failed(checkRank(*this, "ids", getIds(), 2)) ||
      failed(checkRank(*this, "table", getTable(), 2)) ||
      failed(checkStatic(*this, "table", getTable())))
    return failure();
  ArrayRef<int64_t> ids = typeOf(getIds()).getShape();
  return checkShape(*this, "result", getResult(),
                    {ids[0], ids[1], getFeatures(getTable())});
}

LogicalResult PrependTokensOp::verify() {
  ArrayRef<int64_t> tokens = typeOf(getTokens()).getShape();
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  if (tokens.size() != 2 && tokens.size() != 3)
    return emitOpError() << "'tokens' must have rank 2 or 3, but is "
                         << getTokens().getType();
  if (ShapedType::isDynamic(tokens[tokens.size() - 2]) ||
      (tokens.size() == 3 && !shapesAgree({tokens[0]}, {input[0]})))
    return emitOpError() << "'tokens' must be a static number, for every "
                            "sequence or for each of 'input', but is "
                         << getTokens().getType() << " beside "
                         << getInput().getType();
  if (ShapedType::isDynamic(input[1]))
    return emitOpError()
           << "'input' must have a static number of tokens, but is "
           << getInput().getType();
  if (getFeatures(getTokens()) != input[2])
    return emitOpError() << "'tokens' must have the " << input[2]
                         << " features of 'input', but is "
                         << getTokens().getType();
  return checkShape(*this, "result", getResult(),
                    {input[0], input[1] + tokens[tokens.size() - 2], input[2]});
}

std::pair<unsigned, unsigned> PrependTokensOp::getDimSource(unsigned,
                                                            unsigned dim) {
  return {1, dim};
}

LogicalResult TokenIndexOp::verify() {
  if (failed(checkRank(*this, "ids", getIds(), 2)))
    return failure();
  return checkShape(*this, "result", getResult(),
                    {typeOf(getIds()).getDimSize(0), 1});
}

LogicalResult TakeTokensOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  if (static_cast<bool>(getIndex()) == getPosition().has_value())
    return emitOpError() << "needs either 'index' or 'position'";
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  int64_t rows = 1;
  if (getIndex()) {
    if (failed(checkRank(*this, "index", getIndex(), 2)) ||
        failed(checkShape(*this, "index", getIndex(),
                          {input[0], typeOf(getIndex()).getDimSize(1)})))
      return failure();
    rows = typeOf(getIndex()).getDimSize(1);
  } else if (int64_t at = *getPosition(); !ShapedType::isDynamic(input[1]) &&
                                          (at < -input[1] || at >= input[1])) {
    return emitOpError() << "'position' must be within the tokens of "
                         << getInput().getType() << ", but is "
                         << static_cast<int64_t>(*getPosition());
  }
  return checkShape(*this, "result", getResult(), {input[0], rows, input[2]});
}

std::pair<unsigned, unsigned> TakeTokensOp::getDimSource(unsigned,
                                                         unsigned dim) {
  return {dim == 1 ? 1u : 0u, dim};
}

LogicalResult SliceTokensOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  int64_t begin = getBegin(), end = getEnd();
  if (begin < 0 || begin >= end ||
      (!ShapedType::isDynamic(input[1]) && end > input[1]))
    return emitOpError() << "[" << begin << ", " << end << "] must lie within the " << input[1] << " tokens of 'input'";
  return checkShape(*this, "result", getResult(), {input[0], end - begin, input[2]});
}

LogicalResult SqueezeOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  if (input[1] != 1 && input[0] != 1)
    return emitOpError() << "'input' must have exactly one token or one "
                            "sequence, but is "
                         << getInput().getType();
  return checkShape(*this, "result", getResult(),
                    {input[input[1] == 1 ? 0 : 1], input[2]});
}

std::pair<unsigned, unsigned> SqueezeOp::getDimSource(unsigned, unsigned dim) {
  unsigned kept = typeOf(getInput()).getDimSize(1) == 1 ? 0 : 1;
  return {0, dim == 0 ? kept : 2};
}

LogicalResult ReplaceTokensOp::verify() {
  ArrayRef<int64_t> tokens = typeOf(getTokens()).getShape(),
                    input = typeOf(getInput()).getShape();
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  if (tokens.size() != 2 && tokens.size() != 3)
    return emitOpError() << "'tokens' must have 2 or 3 dimensions, but is "
                         << getTokens().getType();
  int64_t count = tokens[tokens.size() - 2];
  if (ShapedType::isDynamic(count) ||
      (!ShapedType::isDynamic(input[1]) && count > input[1]))
    return emitOpError() << "'tokens' must have a static number of tokens and "
                            "no more than 'input', but they are "
                         << getTokens().getType() << " and "
                         << getInput().getType();
  SmallVector<int64_t> shape = {input[0], count, input[2]};
  return checkShape(*this, "tokens", getTokens(),
                    ArrayRef(shape).take_back(tokens.size()));
}

std::pair<unsigned, unsigned> ReplaceTokensOp::getDimSource(unsigned,
                                                            unsigned dim) {
  return {1, dim};
}

/// One row for each sequence.
static LogicalResult checkOfTokens(Operation *op) {
  if (failed(checkRank(op, "input", op->getOperand(0), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(op->getOperand(0)).getShape();
  return checkShape(op, "result", op->getResult(0), {input[0], input[2]});
}

LogicalResult MeanTokensOp::verify() { return checkOfTokens(*this); }

LogicalResult MaxTokensOp::verify() { return checkOfTokens(*this); }

LogicalResult ScaleFeaturesOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  return checkShape(*this, "factors", getFactors(), {input[0], input[2]});
}

int64_t AddGridPositionsOp::getSide() {
  int64_t rows = typeOf(getTable()).getDimSize(0), side = 1;
  while (side * side < rows)
    ++side;
  return side;
}

LogicalResult AddGridPositionsOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)) ||
      failed(checkRank(*this, "table", getTable(), 2)) ||
      failed(checkStatic(*this, "table", getTable())))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  int64_t rows = typeOf(getTable()).getDimSize(0), side = getSide();
  if (side * side != rows || getFeatures(getTable()) != input[2])
    return emitOpError() << "'table' must be the square of a number of rows of "
                         << input[2] << " features, but is "
                         << getTable().getType();
  if (failed(checkShape(*this, "grid", getGrid(), {input[0], 2})))
    return failure();
  std::optional<ArrayRef<float>> boundaries = getBoundaries();
  if (!boundaries)
    return success();
  // One more than there are buckets behind the first would leave the table.
  auto within = llvm::count_if(*boundaries, [](float x) { return x < 1.0F; });
  if (!llvm::is_sorted(*boundaries) || within >= side)
    return emitOpError() << "'boundaries' must ascend, fewer than " << side
                         << " of them below 1, but are [" << *boundaries << "]";
  return success();
}

LogicalResult SliceFeaturesOp::verify() {
  int64_t begin = getBegin(), end = getEnd(),
          features = getFeatures(getInput());
  if (begin < 0 || begin >= end || end > features)
    return emitOpError() << "[" << begin << ", " << end
                         << "] must lie within the " << features
                         << " features of 'input'";
  return checkShape(*this, "result", getResult(),
                    withFeatures(getInput(), end - begin));
}

LogicalResult ConcatFeaturesOp::verify() {
  if (getInputs().empty())
    return emitOpError() << "needs at least one of 'inputs'";
  int64_t features = 0;
  for (auto [i, input] : llvm::enumerate(getInputs())) {
    features += getFeatures(input);
    if (failed(checkShape(*this, "inputs", input,
                          withFeatures(getInputs()[0], getFeatures(input)))))
      return failure();
  }
  return checkShape(*this, "result", getResult(),
                    withFeatures(getInputs()[0], features));
}

LogicalResult MergeTokensOp::verify() {
  if (failed(checkRank(*this, "input", getInput(), 3)) ||
      failed(checkRank(*this, "features", getFeatures(), 2)))
    return failure();
  ArrayRef<int64_t> input = typeOf(getInput()).getShape();
  if (failed(checkShape(*this, "features", getFeatures(),
                        {typeOf(getFeatures()).getDimSize(0), input[2]})))
    return failure();
  return checkShape(*this, "row", getRow(), input.take_front(2));
}

//===-- Caches
//------------------------------------------------------------------------------------------------------------------------===//

static LogicalResult checkCache(Operation *op, StringRef what, Value value,
                                int64_t rank) {
  if (!isa_and_nonnull<CacheAttr>(typeOf(value).getEncoding()))
    return op->emitOpError()
           << "'" << what << "' must be a cache (encoding #vlm.cache), but is "
           << value.getType();
  if (failed(checkRank(op, what, value, rank)) ||
      failed(checkStatic(op, what, value)))
    return failure();
  if (typeOf(value).getDimSize(rank - 3) != 2)
    return op->emitOpError()
           << "'" << what
           << "' must hold keys and values (size 2 before the heads), but is "
           << value.getType();
  return success();
}

LogicalResult CacheLayerOp::verify() {
  if (failed(checkCache(*this, "cache", getCache(), 4)) ||
      failed(checkCache(*this, "result", getResult(), 3)))
    return failure();
  ArrayRef<int64_t> cache = typeOf(getCache()).getShape();
  int64_t layer = getLayer();
  if (layer < 0 || layer >= cache[0])
    return emitOpError() << "'layer' must be within the " << cache[0]
                         << " layers of 'cache', but is " << layer;
  return checkShape(*this, "result", getResult(), cache.drop_front());
}

LogicalResult CachedAttentionOp::verify() {
  if (failed(checkCache(*this, "cache", getCache(), 3)) ||
      failed(checkRank(*this, "query", getQuery(), 3)) ||
      failed(checkRank(*this, "key", getKey(), 3)))
    return failure();
  int64_t heads = getNumHeads(), keyHeads = typeOf(getCache()).getDimSize(1),
          size = typeOf(getCache()).getDimSize(2);
  if (heads < 1 || heads % keyHeads != 0)
    return emitOpError() << "'num_heads' must be a multiple of the cache's "
                         << keyHeads << " heads, but is " << heads;
  ArrayRef<int64_t> query = typeOf(getQuery()).getShape(),
                    key = typeOf(getKey()).getShape();
  if (failed(checkShape(*this, "query", getQuery(),
                        {1, query[1], heads * size})) ||
      failed(
          checkShape(*this, "key", getKey(), {1, key[1], keyHeads * size})) ||
      failed(checkShape(*this, "value", getValue(), key)) ||
      failed(checkShape(*this, "sequence", getSequence(), key.take_front(2))) ||
      failed(checkShape(*this, "position", getPosition(), key.take_front(2))) ||
      failed(checkShape(*this, "result", getResult(), query)))
    return failure();
  if (getQueryToken() &&
      failed(checkShape(*this, "query_token", getQueryToken(),
                        query.take_front(2))))
    return failure();
  if (failed(checkDistanceBias(*this, getDistanceBias(), heads)))
    return failure();
  if (hasOwnQueries() && getDistanceBias())
    return emitOpError() << "'distance_bias' must be absent beside "
                            "'query_sequence', whose tokens have no places "
                            "among the keys";
  if (hasOwnQueries() && !getFirst())
    return emitOpError() << "'query_sequence' must have 'first' and 'last' "
                            "beside it, which are not there";
  if (getFirst())
    return checkRanges();
  return getQueryToken() ? success()
                         : checkShape(*this, "query", getQuery(),
                                      {1, key[1], heads * size});
}

/// The columns of queries that are not those of the keys' tokens.
LogicalResult CachedAttentionOp::checkRanges() {
  if (!hasOwnQueries()) {
    ArrayRef<int64_t> tokens = typeOf(getPosition()).getShape();
    if (failed(checkShape(*this, "first", getFirst(), tokens)) ||
        failed(checkShape(*this, "last", getLast(), tokens)))
      return failure();
    return getQueryToken()
               ? success()
               : checkShape(*this, "position", getPosition(),
                            typeOf(getQuery()).getShape().take_front(2));
  }
  if (getWindow())
    return emitOpError() << "'window' must be 0 beside 'first' and 'last', but "
                            "is "
                         << getWindow();
  if (failed(checkRank(*this, "query_sequence", getQuerySequence(), 2)))
    return failure();
  ArrayRef<int64_t> queries = typeOf(getQuerySequence()).getShape();
  if (failed(checkShape(*this, "first", getFirst(), queries)) ||
      failed(checkShape(*this, "last", getLast(), queries)))
    return failure();
  return getQueryToken()
             ? success()
             : checkShape(*this, "query_sequence", getQuerySequence(),
                          typeOf(getQuery()).getShape().take_front(2));
}

std::pair<unsigned, unsigned> CachedAttentionOp::getDimSource(unsigned,
                                                              unsigned dim) {
  return {0, dim};
}

//===-- Groups and kernels
//------------------------------------------------------------------------------------------------------------===//

/// Checks that a region's terminator yields values of the given types (static
/// sizes may meet dynamic ones).
static LogicalResult verifyYield(Operation *op, Region &region,
                                 TypeRange results) {
  auto yield = dyn_cast<YieldOp>(region.front().getTerminator());
  if (!yield)
    return op->emitOpError() << "must end in 'vlm.yield'";
  if (yield.getOperandTypes() != results)
    return op->emitOpError() << "yields other types than its results";
  return success();
}

ParseResult GroupOp::parse(OpAsmParser &parser, OperationState &result) {
  StringRef word;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<AnchorKind> kind = symbolizeAnchorKind(word);
  if (!kind)
    return parser.emitError(loc, "unknown anchor '") << word << "'";
  result.addAttribute(getAnchorAttrName(result.name),
                      AnchorKindAttr::get(parser.getContext(), *kind));
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  auto parseBinding = [&]() -> ParseResult {
    return failure(parser.parseArgument(arguments.emplace_back()) ||
                   parser.parseEqual() ||
                   parser.parseOperand(operands.emplace_back()));
  };
  FunctionType type;
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren,
                                     parseBinding) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseColonType(type))
    return failure();
  if (type.getNumInputs() != operands.size())
    return parser.emitError(loc, "expected ")
           << operands.size() << " operand types, but there are "
           << type.getNumInputs();
  for (auto [argument, argumentType] :
       llvm::zip_equal(arguments, type.getInputs()))
    argument.type = argumentType;
  if (parser.resolveOperands(operands, type.getInputs(), loc, result.operands))
    return failure();
  result.addTypes(type.getResults());
  return parser.parseRegion(*result.addRegion(), arguments);
}

void GroupOp::print(OpAsmPrinter &printer) {
  printer << ' ' << stringifyAnchorKind(getAnchor()) << " (";
  llvm::interleaveComma(llvm::zip_equal(getBody().getArguments(), getInputs()),
                        printer, [&](auto binding) {
                          printer << std::get<0>(binding) << " = "
                                  << std::get<1>(binding);
                        });
  printer << ')';
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                           {getAnchorAttrName()});
  printer << " : ";
  printer.printFunctionalType(getInputs().getTypes(), getResultTypes());
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult GroupOp::verify() {
  if (getBody().getArgumentTypes() != getInputs().getTypes())
    return emitOpError()
           << "must have one block argument of the same type for each operand";
  return verifyYield(*this, getBody(), getResultTypes());
}

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildType = [](Builder &builder, ArrayRef<Type> arguments,
                      ArrayRef<Type> results,
                      function_interface_impl::VariadicFlag, std::string &) {
    return builder.getFunctionType(arguments, results);
  };
  return function_interface_impl::parseFunctionOp(
      parser, result, /*allowVariadic=*/false,
      getFunctionTypeAttrName(result.name), buildType,
      getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void KernelOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(
      printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
      getArgAttrsAttrName(), getResAttrsAttrName());
}

LogicalResult KernelOp::verify() {
  if (getBody().empty())
    return emitOpError()
           << "must have a body: the region is the kernel's meaning";
  for (Operation &op : getBody().front().without_terminator())
    if (!isa<DimsOpInterface>(op))
      return emitOpError() << "may hold tensor-level vlm ops only, but holds '"
                           << op.getName() << "'";
  return verifyYield(*this, getBody(), getResultTypes());
}

/// Whether a value of type `actual` may be passed where `formal` is declared:
/// equal but for sizes that are dynamic on either side.
static bool mayPass(Type actual, Type formal) {
  auto a = cast<RankedTensorType>(actual), f = cast<RankedTensorType>(formal);
  return a.getElementType() == f.getElementType() &&
         a.getEncoding() == f.getEncoding() &&
         shapesAgree(a.getShape(), f.getShape());
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel =
      symbols.lookupNearestSymbolFrom<KernelOp>(*this, getCalleeAttr());
  if (!kernel)
    return emitOpError() << "calls no known kernel: '" << getCallee() << "'";
  if (kernel.getArgumentTypes().size() != getInputs().size() ||
      kernel.getResultTypes().size() != getNumResults())
    return emitOpError() << "calls '" << getCallee() << "' with "
                         << getInputs().size() << " operands for "
                         << getNumResults() << " results, but it has "
                         << kernel.getArgumentTypes().size() << " and "
                         << kernel.getResultTypes().size();
  for (auto [i, types] : llvm::enumerate(
           llvm::zip(getInputs().getTypes(), kernel.getArgumentTypes())))
    if (!mayPass(std::get<0>(types), std::get<1>(types)))
      return emitOpError() << "operand " << i << " is " << std::get<0>(types)
                           << ", but '" << getCallee() << "' takes "
                           << std::get<1>(types);
  for (auto [i, types] :
       llvm::enumerate(llvm::zip(getResultTypes(), kernel.getResultTypes())))
    if (!mayPass(std::get<0>(types), std::get<1>(types)))
      return emitOpError() << "result " << i << " is " << std::get<0>(types)
                           << ", but '" << getCallee() << "' gives "
                           << std::get<1>(types);
  return success();
}
