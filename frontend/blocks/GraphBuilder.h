//===- GraphBuilder.h - Builds the entry points of a graph ------*- C++ -*-===//
//
// What blocks use to build ops: names and labels are set here, so that a block
// reads like the model's description.
//
//   builder.beginEntry("encode_image", {{"B", 1, 1, 1 << 20}});
//   mlir::Value x = builder.argument("pixel_values", type, {"B", "", "", ""});
//   x = builder.linear(x, "vision.projection", /*bias=*/false);
//   builder.result("image_embeds", x);
//   builder.endEntry();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_GRAPHBUILDER_H
#define VLMC_FRONTEND_BLOCKS_GRAPHBUILDER_H

#include "frontend/blocks/BindWeights.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

#include <array>
#include <map>
#include <optional>
#include <set>

namespace vlmc {

/// The most sequences, pictures or rows of one call.
inline constexpr int64_t maxBatch = 1 << 20;
/// The most patches of a picture with a grid of its own.
inline constexpr int64_t maxPatches = 1 << 16;

/// A size symbol of an entry: its least, likely and greatest value.
struct Symbol {
  llvm::StringRef name;
  int64_t min, likely, max;
};

/// Where the buckets from 1 on begin, of a side cut into as many as there are
/// rows in a table, to the bit as torch.arange(1 / side, 1, 1 / side) rounds.
std::vector<float> bucketBoundaries(int64_t side);

/// Builds one module. Canonical names (those of WeightInfo) name weights, and
/// label the ops that read them.
class GraphBuilder {
public:
  GraphBuilder(mlir::ModuleOp module, const std::vector<BoundWeight> &weights,
               const std::set<std::string> &taps);

  mlir::Builder &types() { return builder; }
  /// tensor<...xf32>; a dynamic size is mlir::ShapedType::kDynamic.
  mlir::RankedTensorType floats(llvm::ArrayRef<int64_t> shape);

  // Entries: arguments before ops, results at the end.
  void beginEntry(llvm::StringRef name, llvm::ArrayRef<Symbol> symbols);
  mlir::Value argument(llvm::StringRef name, mlir::RankedTensorType type,
                       llvm::ArrayRef<llvm::StringRef> dims);
  /// The range of the last argument's values.
  void range(int64_t min, int64_t max);
  /// The size symbol that the last argument's values are less than.
  void below(llvm::StringRef symbol);
  /// The value of the last argument where it is left out.
  void fill(int64_t value);
  void result(llvm::StringRef name, mlir::Value value);
  /// Makes a value an output if the user asked for it, or for another that it
  /// belongs to.
  void tap(const std::string &name, mlir::Value value,
           const std::string &asked = "");
  void endEntry();

  // Ops. The label is the weight's name without ".weight", or what is given.
  mlir::Value weight(const std::string &name);
  /// The weight with another shape of as many elements.
  mlir::Value weight(const std::string &name, llvm::ArrayRef<int64_t> shape);
  /// What a weight is made of, and a weight under a name of its own.
  vlm::RecipeAttr storedWeight(const std::string &name);
  mlir::Value madeWeight(const std::string &name, vlm::RecipeAttr recipe);
  /// A weight of zeros.
  mlir::Value zeros(llvm::ArrayRef<int64_t> shape);
  /// The weight [P, D] as the tokens [1, P, D] of all sequences.
  mlir::Value sharedTokens(const std::string &name);
  /// The weight's rows from `begin` on.
  mlir::Value weightRows(const std::string &name, int64_t begin);
  /// The rows of several weights, one behind the other, as one weight.
  mlir::Value joinedWeight(llvm::ArrayRef<std::string> names);
  /// What attention adds to scores by how far the key stands behind the query:
  /// rows of a table [rows, heads], for distances from -E to E.
  mlir::Value distanceBias(const std::string &name,
                           llvm::ArrayRef<int64_t> rows);
  /// The same, where it falls for each head by a slope for each place between,
  /// for sequences of up to `tokens`.
  mlir::Value slopedBias(llvm::ArrayRef<double> slopes, int64_t tokens,
                         const std::string &name);
  mlir::Value linear(mlir::Value input, const std::string &name,
                     bool bias = true);
  mlir::Value linear(mlir::Value input, mlir::Value matrix, mlir::Value bias,
                     const std::string &label);
  /// A linear layer by the weight [D, C, 1, 1] of a convolution of one pixel.
  mlir::Value linearOfPixel(mlir::Value input, const std::string &name);
  /// A linear layer of rows of pixels in the order row, column, channel, by the
  /// weight [D, C, P, P] of a convolution.
  mlir::Value linearOfWindow(mlir::Value input, const std::string &name,
                             bool bias);
  /// A linear layer whose results are multiplied by a weight for each feature,
  /// which is folded in.
  mlir::Value scaledLinear(mlir::Value input, const std::string &name,
                           const std::string &factors);
  mlir::Value patchEmbed(mlir::Value pixels, const std::string &name,
                         bool bias);
  /// A convolution over square pictures of `side`, planes or rows of pixels,
  /// half of the kernel around them, with the batch norm behind it folded in.
  mlir::Value convolution(mlir::Value input, const std::string &name,
                          const std::string &norm, double epsilon, int64_t side,
                          int64_t stride);
  /// A convolution with its own bias over square pictures of `side`, with
  /// `before` and `behind` places of 0 around them.
  mlir::Value convolution(mlir::Value input, const std::string &name,
                          int64_t side, int64_t stride, int64_t before,
                          int64_t behind);
  /// What a window over pictures of height x width does: zeros around them,
  /// above, before, below and behind, and how far it goes from place to place.
  struct Window {
    int64_t height, width, stride;
    std::array<int64_t, 4> padding;
  };
  /// A convolution of planes or rows of pixels, or of each channel by itself,
  /// with the batch norm behind it folded in.
  mlir::Value convolution(mlir::Value input, const std::string &name,
                          const std::string &norm, double epsilon,
                          const Window &window);
  mlir::Value depthwise(mlir::Value input, const std::string &name,
                        const std::string &norm, double epsilon,
                        const Window &window);
  /// The same with weights that are made, [N, Ky, Kx, C] and [N].
  mlir::Value convolution(mlir::Value input, mlir::Value windows,
                          mlir::Value bias, int64_t side, int64_t stride,
                          int64_t before, int64_t behind,
                          const std::string &label);
  /// A linear layer of the pixels of each patch of `size`, in the order row,
  /// column, channel, of square pictures [B, C, H, H].
  mlir::Value projectPatch(mlir::Value pixels, const std::string &name,
                           int64_t size);
  /// Rows of a square table of positions [S * S, D] added to tokens [B, T, D] by
  /// their place in pictures of `grid` [B, 2], lines and columns: the table is
  /// resized to these or, with `boundaries`, looked up by fractional places.
  mlir::Value addGridPositions(mlir::Value input, const std::string &name,
                               mlir::Value grid,
                               llvm::ArrayRef<float> boundaries = {});
  /// The mean of each square of `size` pixels of pictures of `side`.
  mlir::Value averagePool(mlir::Value input, int64_t side, int64_t size,
                          const std::string &label);
  mlir::Value layerNorm(mlir::Value input, const std::string &name,
                        double epsilon, bool bias = true);
  /// Groups of features are normed, with weights for all of them.
  mlir::Value headLayerNorm(mlir::Value input, const std::string &name,
                            int64_t group, double epsilon);
  /// Groups of channels are normed over all places of a picture.
  mlir::Value groupNorm(mlir::Value input, const std::string &name,
                        int64_t groups, double epsilon);
  /// The number in `ids` of the row of NAME.weight that is nearest to each.
  mlir::Value nearestRow(mlir::Value input, const std::string &name,
                         llvm::ArrayRef<int32_t> ids);
  /// The lowest number in the place of features in `ranges`.
  mlir::Value maskFeatures(mlir::Value input, llvm::ArrayRef<int64_t> ranges,
                           const std::string &label);
  /// `weight` is stored less `offset`; as long as a head, it norms each head.
  mlir::Value rmsNorm(mlir::Value input, const std::string &name,
                      double epsilon, double offset);
  mlir::Value multiply(mlir::Value lhs, mlir::Value rhs,
                       const std::string &label);
  mlir::Value ropeTable(mlir::Value position, llvm::ArrayRef<float> frequencies,
                        double scale, const std::string &label);
  mlir::Value rope(mlir::Value input, mlir::Value table, int64_t heads,
                   bool interleaved, const std::string &label);
  /// Rows of `features` [M, D] in the place of tokens, where `row` is not -1.
  mlir::Value mergeTokens(mlir::Value input, mlir::Value features,
                          mlir::Value row, const std::string &label);
  /// The type of a cache of `layers` layers.
  mlir::RankedTensorType cacheType(int64_t layers, int64_t heads, int64_t size);
  mlir::Value cacheLayer(mlir::Value cache, int64_t layer);
  /// What attention over a cache works on beside query, key and value.
  struct CachedTokens {
    mlir::Value cache, sequence, position;
    /// Where queries are of other tokens than keys: their sequence, and the
    /// range of places that each sees; else the places that each sees as well.
    mlir::Value querySequence, first, last;
    /// See distanceBias().
    mlir::Value distanceBias;
  };
  mlir::Value cachedAttention(mlir::Value query, mlir::Value key,
                              mlir::Value value, const CachedTokens &tokens,
                              int64_t heads, double scale, int64_t window,
                              double softcap, const std::string &label);
  /// A query [1, R, D] is shared by all sequences; `kvHeads` 0 means `heads`.
  mlir::Value attention(mlir::Value query, mlir::Value key, mlir::Value value,
                        mlir::Value keyValid, bool causal, int64_t heads,
                        double scale, const std::string &label,
                        int64_t kvHeads = 0,
                        mlir::Value distanceBias = mlir::Value(),
                        bool amongInvalid = false);
  /// residual + tanh(gate) * branch, with one gate or one for each feature;
  /// tokens that are not `shown`, i32, stay as they are.
  mlir::Value gatedAdd(mlir::Value residual, mlir::Value branch,
                       mlir::Value gate, const std::string &label,
                       mlir::Value shown = mlir::Value());
  mlir::Value activation(mlir::Value input, spec::Activation kind,
                         const std::string &label);
  mlir::Value add(mlir::Value lhs, mlir::Value rhs, const std::string &label);
  /// input [B, T, D] * factors [B, D].
  mlir::Value scaleFeatures(mlir::Value input, mlir::Value factors,
                            const std::string &label);
  /// input * factor.
  mlir::Value scale(mlir::Value input, double factor, const std::string &label);
  /// cap * tanh(input / cap).
  mlir::Value softcap(mlir::Value input, double cap, const std::string &label);
  /// The numbers from -limit to limit that are nearest to those of `input`.
  mlir::Value clamp(mlir::Value input, double limit, const std::string &label);
  /// Squares of size x size tokens of a square grid as one token each.
  mlir::Value pixelUnshuffle(mlir::Value input, int64_t size, bool transposed,
                             const std::string &label);
  /// Rows of a table by id; row 0 is number `firstRow` of the weight.
  mlir::Value embedding(mlir::Value ids, const std::string &name,
                        int64_t firstRow = 0);
  mlir::Value embedding(mlir::Value ids, mlir::Value table,
                        const std::string &label);
  /// `tokens` [P, D] or [B, P, D] in the place of the first P of each sequence.
  mlir::Value replaceTokens(mlir::Value tokens, mlir::Value input,
                            const std::string &label);
  /// [B, T, D] to [B, D].
  mlir::Value meanTokens(mlir::Value input, const std::string &label);
  mlir::Value maxTokens(mlir::Value input, const std::string &label);
  mlir::Value prependTokens(mlir::Value input, const std::string &name,
                            int64_t count);
  /// `tokens` [B, P, D], or a weight [P, D], in front of those of `input`.
  mlir::Value prependTokens(mlir::Value tokens, mlir::Value input,
                            const std::string &label);
  /// The token at `position` of each sequence [B, T, D], as [B, 1, D]; -1 is
  /// the last one.
  mlir::Value takeToken(mlir::Value input, int64_t position,
                        const std::string &label);
  /// The tokens that `index` [B, R] names, as [B, R, D].
  mlir::Value takeTokens(mlir::Value input, mlir::Value index,
                         const std::string &label);
  mlir::Value tokenIndex(mlir::Value ids, vlm::TokenIndexKind kind, int64_t id,
                         const std::string &label);
  /// Tokens [begin, end) of each sequence.
  mlir::Value sliceTokens(mlir::Value input, int64_t begin, int64_t end,
                          const std::string &label);
  /// Rows side by side, [..., D1] to [..., D1 + D2 + ...].
  mlir::Value concatFeatures(llvm::ArrayRef<mlir::Value> inputs,
                             const std::string &label);
  /// Features [begin, end) of each row.
  mlir::Value sliceFeatures(mlir::Value input, int64_t begin, int64_t end,
                            const std::string &label);
  mlir::Value squeeze(mlir::Value input, const std::string &label);
  mlir::Value l2Normalize(mlir::Value input, const std::string &label);
  /// `divides`: by NAME.temperature, else times the exponential of
  /// NAME.log_scale.
  mlir::Value contrastiveLogits(mlir::Value image, mlir::Value text,
                                const std::string &name, bool bias,
                                bool divides = false);

private:
  /// Creates an op with one result at the end of the entry and labels it.
  template <class OpType, class... Args>
  mlir::Value create(const std::string &label, Args &&...args);
  mlir::RankedTensorType withShape(mlir::Value like,
                                   llvm::ArrayRef<int64_t> shape);
  mlir::Value optionalBias(const std::string &name, bool bias);
  vlm::RecipeAttr recipeOf(const BoundWeight &weight,
                           llvm::ArrayRef<int64_t> shape);
  void defineWeight(const BoundWeight &weight, llvm::ArrayRef<int64_t> shape);
  vlm::RecipeAttr normFactors(const std::string &norm, double epsilon);
  /// The bias that a batch norm leaves of a convolution without one.
  mlir::Value foldedBias(const std::string &name, const std::string &norm,
                         vlm::RecipeAttr factors);

  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  std::map<std::string, const BoundWeight *> weights;
  const std::set<std::string> &taps;
  std::set<std::string> defined;

  mlir::func::FuncOp entry;
  llvm::SmallVector<mlir::DictionaryAttr> argumentAttrs;
  llvm::MapVector<mlir::StringAttr, mlir::Value> results;
  llvm::MapVector<mlir::StringAttr, mlir::Value> tapped;
  llvm::StringMap<mlir::Value> read;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_GRAPHBUILDER_H
