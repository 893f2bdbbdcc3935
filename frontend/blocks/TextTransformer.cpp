//===- TextTransformer.cpp - A text encoder -------------------------------===//
//
// Entry `encode_text`: input_ids [B, T] and attention_mask [B, T] (all 1 where
// it is left out) to text_embeds [B, P]; with token types token_type_ids [B, T]
// as well (all 0). Tap `text_features`: all tokens behind the final norm, or
// where there is none behind the blocks, [B, T, D]. Source: arXiv:2103.00020;
// arXiv:1810.04805 for token types and norms behind residuals.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/EncoderBlock.h"
#include "frontend/blocks/GraphBuilder.h"

namespace vlmc {

using mlir::Value;
using Message = spec::TextTransformer;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;
static constexpr const char *features = "text_features";

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &text = component.text_transformer();
  checkEncoderBlocks(text.blocks(), fault);
  checkRange(fault, "vocabulary_size", text.vocabulary_size(), 1, INT32_MAX);
  checkRange(fault, "max_tokens", text.max_tokens(), 1, 1 << 20);
  if (text.has_projection_size())
    checkRange(fault, "projection_size", text.projection_size(), 1, 1 << 20);
  if (text.pool() == Message::POOL_UNSPECIFIED ||
      !Message::Pool_IsValid(text.pool()))
    fault("pool", "expected FIRST_END_TOKEN, LARGEST_ID, LAST_TOKEN or "
                  "FIRST_TOKEN, found none");
  checkRange(fault, "token_types", text.token_types(), 0, 1 << 20);
  if (text.projection_bias() && !text.has_projection_size())
    fault("projection_bias",
          "expected false, as there is no projection_size, found true");
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &text = component.text_transformer();
  WeightDim hidden = {text.blocks().hidden_size(), {"hidden_size"}};
  weights.add("tokens.weight",
              {{text.vocabulary_size(), {"vocabulary_size"}}, hidden});
  weights.add("positions.weight",
              {{text.max_tokens(), {"max_tokens"}}, hidden});
  if (text.token_types())
    weights.add("types.weight",
                {{text.token_types(), {"token_types"}}, hidden});
  if (text.embedding_norm())
    weights.addNorm("embedding_norm", hidden);
  listEncoderWeights(text.blocks(), weights);
  if (!text.no_final_norm())
    weights.addNorm("final_norm", hidden);
  if (text.has_projection_size())
    weights.addLinear("projection",
                      {text.projection_size(), {"projection_size"}}, hidden,
                      text.projection_bias());
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  std::vector<std::string> taps;
  listEncoderTaps(component.name(), component.text_transformer().blocks(),
                  taps);
  taps.emplace_back(features);
  if (component.text_transformer().normalize())
    taps.push_back(component.name() + ".projection");
  return taps;
}

/// The token that stands for the text, [B, 1, D].
static Value buildPool(GraphBuilder &builder, const std::string &name,
                       const Message &text, Value ids, Value value) {
  if (text.pool() == Message::LAST_TOKEN || text.pool() == Message::FIRST_TOKEN)
    return builder.takeToken(
        value, text.pool() == Message::FIRST_TOKEN ? 0 : -1, name);
  bool isFirst = text.pool() == Message::FIRST_END_TOKEN;
  Value index = builder.tokenIndex(ids,
                                   isFirst ? vlm::TokenIndexKind::FirstEqual
                                           : vlm::TokenIndexKind::ArgMax,
                                   isFirst ? text.end_token_id() : 0, name);
  return builder.takeTokens(value, index, name);
}

/// What the first block takes.
static Value buildEmbeddings(GraphBuilder &builder, const std::string &name,
                             const Message &text, Value ids, Value types) {
  Value value = builder.embedding(ids, name + ".tokens");
  if (types)
    value = builder.add(value, builder.embedding(types, name + ".types"),
                        name + ".types");
  value = builder.add(value, builder.weight(name + ".positions.weight"),
                      name + ".positions");
  if (text.embedding_norm())
    value = builder.layerNorm(value, name + ".embedding_norm",
                              text.blocks().norm_epsilon());
  return value;
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  const Message &text = component.text_transformer();
  const std::string &name = component.name();
  // Where the last token counts, texts are padded.
  int64_t likely = text.pool() == Message::LAST_TOKEN
                       ? text.max_tokens()
                       : std::min<int64_t>(16, text.max_tokens());
  builder.beginEntry("encode_text", {{"B", 1, 1, maxBatch},
                                     {"T", 1, likely, text.max_tokens()}});
  auto idType = mlir::RankedTensorType::get({dynamic, dynamic},
                                            builder.types().getI64Type());
  Value ids = builder.argument("input_ids", idType, {"B", "T"});
  builder.range(0, text.vocabulary_size() - 1);
  Value mask = builder.argument("attention_mask", idType, {"B", "T"});
  builder.fill(1);
  Value types;
  if (text.token_types()) {
    types = builder.argument("token_type_ids", idType, {"B", "T"});
    builder.range(0, text.token_types() - 1);
    builder.fill(0);
  }

  Value value = buildEmbeddings(builder, name, text, ids, types);
  value = buildEncoderBlocks(builder, name, text.blocks(), value,
                             {text.causal(), mask});
  if (!text.no_final_norm())
    value = builder.layerNorm(value, name + ".final_norm",
                              text.blocks().norm_epsilon());
  Value normed = value;
  value = buildPool(builder, name + ".pool", text, ids, value);
  value = builder.squeeze(value, name + ".pool");
  if (text.has_projection_size())
    value = builder.linear(value, name + ".projection", text.projection_bias());
  Value projected = value;
  if (text.normalize())
    value = builder.l2Normalize(value, name + ".normalize");
  builder.result("text_embeds", value);
  builder.tap(features, normed);
  if (text.normalize())
    builder.tap(name + ".projection", projected);
  builder.endEntry();
}

extern const Block blockTextTransformer;
const Block blockTextTransformer = {check, listWeights, listTaps, build};

} // namespace vlmc
