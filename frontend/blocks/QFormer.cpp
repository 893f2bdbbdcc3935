//===- QFormer.cpp - Learned queries that look at a tower's tokens --------===//
//
// Entry `encode_image`, before a language model: pixel_values [B, C, H, W] to
// image_features [B, Q, D]. With words, of input_ids [B, S] and attention_mask
// [B, S] the first Q stand for the queries, whatever they are; the words follow
// and run beside them. Tap `qformer_features` [B, Q, H].
//
// For retrieval: `encode_image` gives image_embeds [B, Q, D], normalised, and
// the tower's vision_features [B, T, V]; `encode_text`, of input_ids [B, T],
// text_embeds [B, D]; `match`, of vision_features and input_ids [B, S] as
// above, itm_logits [B, 2].
//
// Sources: arXiv:2301.12597; Blip2QFormerModel, Blip2ForImageTextRetrieval and
// InstructBlipQFormerModel in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/EncoderBlock.h"
#include "frontend/blocks/Tower.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::QFormer;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

//===----------------------------------------------------------------------===//
// The message
//===----------------------------------------------------------------------===//

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &qformer = component.q_former();
  checkEncoderBlocks(qformer.blocks(), fault);
  checkTower(model, qformer.tower(), "tower_size", qformer.tower_size(), fault);
  checkRange(fault, "queries", qformer.queries(), 1, 1 << 16);
  checkRange(fault, "cross_attention_step", qformer.cross_attention_step(), 1,
             4096);
  checkRange(fault, "output_size", qformer.output_size(), 1, 1 << 20);
  checkRange(fault, "vocabulary_size", qformer.vocabulary_size(),
             qformer.retrieval() ? 1 : 0, INT32_MAX);
  if (qformer.vocabulary_size())
    checkRange(fault, "max_tokens", qformer.max_tokens(), 1, 1 << 20);
  if (qformer.blocks().unbiased_attention())
    fault("blocks.unbiased_attention", "expected false, found true");
}

/// The weights of attention, its residual and its norm.
static void listAttention(const std::string &name, const WeightDim &hidden,
                          const WeightDim &source, WeightList &weights) {
  weights.addLinear(name + ".query", hidden, hidden);
  weights.addLinear(name + ".key", hidden, source);
  weights.addLinear(name + ".value", hidden, source);
  weights.addLinear(name + ".output", hidden, hidden);
  weights.addNorm(name + ".norm", hidden);
}

static void listMlp(const std::string &name, const Message &qformer,
                    const WeightDim &hidden, WeightList &weights) {
  WeightDim inner = {qformer.blocks().intermediate_size(),
                     {"intermediate_size"}};
  weights.addLinear(name + ".fc1", inner, hidden);
  weights.addLinear(name + ".fc2", hidden, inner);
  weights.addNorm(name + ".norm", hidden);
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &qformer = component.q_former();
  WeightDim hidden = {qformer.blocks().hidden_size(), {"hidden_size"}};
  WeightDim output = {qformer.output_size(), {"output_size"}};
  weights.add("queries", {{qformer.queries(), {"queries"}}, hidden});
  if (qformer.vocabulary_size()) {
    weights.add("tokens.weight",
                {{qformer.vocabulary_size(), {"vocabulary_size"}}, hidden});
    weights.add("positions.weight",
                {{qformer.max_tokens(), {"max_tokens"}}, hidden});
  }
  weights.addNorm("norm", hidden);
  for (int64_t i = 0; i < qformer.blocks().layers(); ++i) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    listAttention(layer + "attention", hidden, hidden, weights);
    if (i % qformer.cross_attention_step() == 0)
      listAttention(layer + "cross_attention", hidden,
                    {qformer.tower_size(), {"tower_size"}}, weights);
    listMlp(layer + "query_mlp", qformer, hidden, weights);
    // Of the words nothing is read behind the last layer, but for retrieval.
    if (qformer.retrieval() ||
        (qformer.vocabulary_size() && i + 1 < qformer.blocks().layers()))
      listMlp(layer + "text_mlp", qformer, hidden, weights);
  }
  weights.addLinear("projection", output, hidden);
  if (qformer.retrieval()) {
    weights.addLinear("text_projection", output, hidden);
    weights.addLinear("match", {2, {}}, hidden);
  }
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  std::vector<std::string> taps = {"qformer_features"};
  if (component.q_former().retrieval())
    taps.emplace_back("text_features");
  return taps;
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
/// Builds the entry points of one Q-Former.
class QFormerBuilder {
public:
  QFormerBuilder(GraphBuilder &builder, const spec::ModelSpec &model,
                 const spec::Component &component)
      : builder(builder), qformer(component.q_former()), name(component.name()),
        tower(*findTower(model, qformer.tower())) {}

  void buildFeatures();
  void buildRetrieval();

private:
  /// input_ids and attention_mask, [B, size].
  void addWords(llvm::StringRef size);
  Value embedWords(const std::vector<std::string> &positions);
  /// Queries, and the words where there are any, ready for the first layer.
  Value buildQueries();
  Value runQueries(Value features);
  Value runWords(Value value);
  Value attend(const std::string &layer, Value asking, Value source,
               Value valid);
  Value runMlp(const std::string &mlp, Value value);
  Value runLayer(int64_t number, Value value, Value features);
  Value norm(Value value, const std::string &weight) {
    return builder.layerNorm(value, weight, qformer.blocks().norm_epsilon());
  }
  std::string layerName(int64_t number) const {
    return name + ".layers." + std::to_string(number);
  }
  bool hasWords() const { return ids != Value(); }
  int64_t lastLayer() const { return qformer.blocks().layers() - 1; }
  Symbol wordsBesideQueries() const {
    int64_t queries = qformer.queries();
    return {"S", queries + 1,
            queries + std::min<int64_t>(16, qformer.max_tokens()),
            queries + qformer.max_tokens()};
  }

  GraphBuilder &builder;
  const Message &qformer;
  const std::string &name;
  const spec::Component &tower;
  Value ids, mask;
};
} // namespace

void QFormerBuilder::addWords(llvm::StringRef size) {
  auto type = mlir::RankedTensorType::get({dynamic, dynamic},
                                          builder.types().getI64Type());
  const bool isBeside = !qformer.retrieval();
  ids = builder.argument(isBeside ? "qformer_input_ids" : "input_ids", type,
                         {"B", size});
  builder.range(0, qformer.vocabulary_size() - 1);
  mask =
      builder.argument(isBeside ? "qformer_attention_mask" : "attention_mask",
                       type, {"B", size});
  builder.fill(1);
}

Value QFormerBuilder::embedWords(const std::vector<std::string> &positions) {
  Value value = builder.embedding(ids, name + ".tokens");
  return builder.add(value, builder.joinedWeight(positions),
                     name + ".positions");
}

Value QFormerBuilder::buildQueries() {
  if (!hasWords()) {
    // A slice of all of them, as norms read no weight's layout.
    Value queries =
        builder.sliceTokens(builder.sharedTokens(name + ".queries"), 0,
                            qformer.queries(), name + ".queries");
    return norm(queries, name + ".norm");
  }
  // Whatever stands in the first places is replaced; the words' positions
  // begin behind them.
  Value value = embedWords({name + ".queries", name + ".positions.weight"});
  Value queries = builder.weight(name + ".queries");
  value = builder.replaceTokens(queries, value, name + ".queries");
  return norm(value, name + ".norm");
}

/// Attention, its residual and the norm behind it.
Value QFormerBuilder::attend(const std::string &layer, Value asking,
                             Value source, Value valid) {
  Value query = builder.linear(asking, layer + ".query");
  Value key = builder.linear(source, layer + ".key");
  Value values = builder.linear(source, layer + ".value");
  const int64_t heads = qformer.blocks().heads();
  auto headSize = static_cast<double>(qformer.blocks().hidden_size() / heads);
  Value mixed = builder.attention(query, key, values, valid, /*causal=*/false,
                                  heads, 1 / std::sqrt(headSize), layer);
  mixed = builder.linear(mixed, layer + ".output");
  // Queries are the same for all pictures until they have seen them.
  auto isShared = [](Value value) {
    return mlir::cast<mlir::RankedTensorType>(value.getType()).getDimSize(0) ==
           1;
  };
  if (isShared(asking) && !isShared(mixed))
    asking = builder.squeeze(asking, layer + ".queries");
  Value sum = builder.add(mixed, asking, layer + ".residual");
  return norm(sum, layer + ".norm");
}

Value QFormerBuilder::runMlp(const std::string &mlp, Value value) {
  Value inner =
      builder.activation(builder.linear(value, mlp + ".fc1"),
                         qformer.blocks().activation(), mlp + ".activation");
  Value outer = builder.linear(inner, mlp + ".fc2");
  return norm(builder.add(outer, value, mlp + ".residual"), mlp + ".norm");
}

/// Behind the last layer only the queries are left.
Value QFormerBuilder::runLayer(int64_t number, Value value, Value features) {
  const std::string layer = layerName(number);
  value = attend(layer + ".attention", value, value, mask);
  Value queries = value;
  if (hasWords())
    queries =
        builder.sliceTokens(value, 0, qformer.queries(), layer + ".queries");
  if (number % qformer.cross_attention_step() == 0)
    queries = attend(layer + ".cross_attention", queries, features, Value());
  queries = runMlp(layer + ".query_mlp", queries);
  if (!hasWords() || number == lastLayer())
    return queries;
  return builder.replaceTokens(queries, runMlp(layer + ".text_mlp", value),
                               layer + ".tokens");
}

Value QFormerBuilder::runQueries(Value features) {
  Value value = buildQueries();
  for (int64_t i = 0; i <= lastLayer(); ++i)
    value = runLayer(i, value, features);
  return value;
}

/// Words alone.
Value QFormerBuilder::runWords(Value value) {
  for (int64_t i = 0; i <= lastLayer(); ++i) {
    value = attend(layerName(i) + ".attention", value, value, mask);
    value = runMlp(layerName(i) + ".text_mlp", value);
  }
  return value;
}

void QFormerBuilder::buildFeatures() {
  llvm::SmallVector<Symbol> symbols = {{"B", 1, 1, maxBatch}};
  if (qformer.vocabulary_size())
    symbols.push_back(wordsBesideQueries());
  builder.beginEntry("encode_image", symbols);
  TowerInputs inputs = addTowerPixels(builder, tower);
  if (qformer.vocabulary_size())
    addWords("S");
  Value value = runQueries(buildTowerTokens(builder, tower, inputs));
  builder.tap("qformer_features", value);
  builder.result("image_features", builder.linear(value, name + ".projection"));
  builder.endEntry();
}

void QFormerBuilder::buildRetrieval() {
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  TowerInputs inputs = addTowerPixels(builder, tower);
  Value features = buildTowerTokens(builder, tower, inputs);
  Value value = runQueries(features);
  builder.tap("qformer_features", value);
  value = builder.linear(value, name + ".projection");
  builder.result("image_embeds",
                 builder.l2Normalize(value, name + ".normalize"));
  builder.result("vision_features", features);
  builder.endEntry();
  auto featureType = mlir::cast<mlir::RankedTensorType>(features.getType());

  const int64_t likely = std::min<int64_t>(16, qformer.max_tokens());
  builder.beginEntry("encode_text", {{"B", 1, 1, maxBatch},
                                     {"T", 1, likely, qformer.max_tokens()}});
  addWords("T");
  value =
      runWords(norm(embedWords({name + ".positions.weight"}), name + ".norm"));
  builder.tap("text_features", value);
  value = builder.squeeze(builder.takeToken(value, 0, name + ".pool"),
                          name + ".pool");
  value = builder.linear(value, name + ".text_projection");
  builder.result("text_embeds",
                 builder.l2Normalize(value, name + ".text_normalize"));
  builder.endEntry();

  builder.beginEntry("match", {{"B", 1, 1, maxBatch}, wordsBesideQueries()});
  features = builder.argument("vision_features", featureType, {"B", "", ""});
  addWords("S");
  value = builder.linear(runQueries(features), name + ".match");
  builder.result("itm_logits", builder.meanTokens(value, name + ".match"));
  builder.endEntry();
}

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  QFormerBuilder qformer(builder, model, component);
  if (component.q_former().retrieval())
    qformer.buildRetrieval();
  else
    qformer.buildFeatures();
}

extern const Block blockQFormer;
const Block blockQFormer = {check, listWeights, listTaps, build};

} // namespace vlmc
