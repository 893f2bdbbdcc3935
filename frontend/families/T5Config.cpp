//===- T5Config.cpp - Configs of T5 models --------------------------------===//
//
// Defaults are those of configuration_t5.py, the arithmetic that of
// modeling_t5.py in transformers 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/T5Config.h"

#include "frontend/checkpoint/Checkpoint.h"
#include "frontend/families/Activations.h"
#include "frontend/families/DualEncoder.h"

#include <algorithm>

namespace vlmc {

static const Json &t5Defaults() {
  static const Json defaults = {{"d_ff", 2048},
                                {"d_kv", 64},
                                {"d_model", 512},
                                {"eos_token_id", 1},
                                {"feed_forward_proj", "relu"},
                                {"layer_norm_epsilon", 1e-6},
                                {"num_heads", 8},
                                {"num_layers", 6},
                                {"pad_token_id", 0},
                                {"relative_attention_max_distance", 128},
                                {"relative_attention_num_buckets", 32},
                                {"vocab_size", 32128}};
  return defaults;
}

/// The token embeddings, which the stacks share.
static constexpr const char *embeddingNames[] = {
    "shared", "encoder.embed_tokens", "decoder.embed_tokens"};

/// Positions are distances, so that there is no end to them; this is what a
/// request may have.
static constexpr int64_t mostTokens = 1 << 15;

static void readSizes(ConfigSection &section, spec::EncoderDecoder &message) {
  message.set_hidden_size(section.integer("d_model", 1, 1, maxFeatures));
  message.set_intermediate_size(section.integer("d_ff", 1, 1, maxFeatures));
  message.set_head_size(section.integer("d_kv", 1, 1, 4096));
  message.set_heads(section.integer("num_heads", 1, 1, maxFeatures));
  message.set_encoder_layers(section.integer("num_layers", 1, 1, 4096));
  message.set_decoder_layers(
      section.optionalInteger("num_decoder_layers", 1, 4096)
          .value_or(message.encoder_layers()));
  message.set_vocabulary_size(section.integer("vocab_size", 1, 1, maxId));
  message.set_position_buckets(
      section.integer("relative_attention_num_buckets", 32, 4, 4096));
  // Half of the buckets are of one distance each, the rest of more.
  const int64_t exact = message.position_buckets() / 2;
  message.set_position_distance(
      section.integer("relative_attention_max_distance",
                      std::max<int64_t>(128, exact + 1), exact + 1, 65536));
  message.set_norm_epsilon(section.number("layer_norm_epsilon", 1e-6, 0, 1));
  message.set_max_tokens(mostTokens);
}

/// "relu", "gated-gelu": a function, perhaps behind a gate. The keys that are
/// derived from it count where a file has them: BLIP-2's says gelu, by which
/// the exact one is meant, while that of "gated-gelu" is the tanh form.
static void readMlp(ConfigSection &section, spec::EncoderDecoder &message) {
  std::string key = "feed_forward_proj";
  std::string form = section.string(key, "relu");
  message.set_gated_mlp(form.starts_with("gated-"));
  if (const Json *gated = section.find("is_gated_act");
      gated && gated->is_boolean())
    message.set_gated_mlp(*gated == true);
  std::string name = form.starts_with("gated-") ? form.substr(6) : form;
  if (form == "gated-gelu")
    name = "gelu_new";
  if (section.find("dense_act_fn")) {
    key = "dense_act_fn";
    form = name = section.string(key, "");
  }
  const Json one = {{key, name}};
  ConfigLog log;
  ConfigSection named(one, "", "", log);
  message.set_activation(readActivation(named, key, ""));
  if (!log.errors.empty())
    section.error(key, "expected an activation function that vlmc knows, as "
                       "relu, or one behind a gate, as gated-gelu, found " +
                           describe(Json(form)) +
                           "; mend the file if it means one of them");
}

/// Whether what the head takes is scaled: the flag of tied embeddings says so
/// in files of version 4, whatever the head's tensor is. It stays true in those
/// of version 5, which have another one.
static bool isHeadScaled(ConfigSection &section) {
  const Json *own = section.find("scale_decoder_outputs");
  const Json *tied = section.find("tie_word_embeddings");
  if (own && own->is_boolean())
    return *own == true;
  return !tied || *tied != false;
}

/// The head is another tensor exactly where the file has one; without files the
/// flag is all that there is.
static bool isHeadTied(const std::string &folder, const std::string &prefix,
                       bool isScaled) {
  if (!Checkpoint::hasWeights(folder))
    return isScaled;
  std::vector<std::string> ignored;
  auto weights = Checkpoint::open(folder, ignored);
  if (!weights)
    return isScaled; // it is told where the weights are read
  if (!(*weights)->find(prefix + "lm_head.weight"))
    return true;
  // Of tensors that are one, a file may hold the head's name alone.
  return std::ranges::none_of(embeddingNames, [&](const char *name) {
    return (*weights)->find(prefix + name + ".weight");
  });
}

/// What an answer begins with; transformers takes the begin of texts where the
/// config does not say it.
static int64_t readStart(ConfigSection &section, const DecoderFacts &facts) {
  for (const char *key : {"decoder_start_token_id", "bos_token_id"})
    if (auto start = section.optionalInteger(key, 0, maxId))
      return *start;
  if (facts.padToken.value_or(0) < 0)
    section.error("decoder_start_token_id",
                  "expected the id that answers begin with, found none, and "
                  "no bos_token_id or pad_token_id in its place; add it");
  return std::max<int64_t>(facts.padToken.value_or(0), 0);
}

DecoderFacts readT5(const Json &text, const CheckpointConfig &config,
                    const std::string &path, const std::string &prefix,
                    ConfigLog &log, spec::EncoderDecoder &message,
                    spec::Generation &generation) {
  Json values = t5Defaults();
  values.update(text);
  ConfigSection section(values, config.file, path, log);
  readSizes(section, message);
  readMlp(section, message);
  message.set_scaled_head(isHeadScaled(section));
  message.set_tied_head(
      isHeadTied(config.folder, prefix, message.scaled_head()));
  for (const char *key :
       {"classifier_dropout", "dropout_rate", "n_positions", "output_past"})
    section.ignore(key);
  DecoderFacts facts;
  readTokens(section, facts);
  generation.set_start_token_id(readStart(section, facts));
  section.finish();
  return facts;
}

static void addStack(spec::ModelSpec &model, const std::string &prefix,
                     const std::string &stack) {
  const bool isEncoder = stack == "encoder";
  const std::string ours = "t5." + stack + ".";
  const std::string theirs = prefix + stack + ".";
  const std::string layer = ours + "layers.{}.";
  const std::string block = theirs + "block.{}.layer.";
  addRule(model, ours + "position_bias",
          theirs + "block.0.layer.0.SelfAttention.relative_attention_bias");
  addRule(model, ours + "final_norm", theirs + "final_layer_norm");
  auto addAttention = [&](const std::string &name, const std::string &number,
                          const std::string &kind) {
    for (auto [part, letter] :
         {std::pair("query", "q"), std::pair("key", "k"),
          std::pair("value", "v"), std::pair("output", "o")})
      addRule(model, layer + name + "." + part,
              block + number + "." + kind + "." + letter);
    addRule(model, layer + name + ".norm", block + number + ".layer_norm");
  };
  addAttention("attention", "0", "SelfAttention");
  if (!isEncoder)
    addAttention("cross_attention", "1", "EncDecAttention");
  const std::string mlp = block + (isEncoder ? "1." : "2.");
  addRule(model, layer + "mlp.norm", mlp + "layer_norm");
  addRule(model, layer + "mlp.gate", mlp + "DenseReluDense.wi_0");
  addRule(model, layer + "mlp.up",
          {mlp + "DenseReluDense.wi", mlp + "DenseReluDense.wi_1"}, "");
  addRule(model, layer + "mlp.down", mlp + "DenseReluDense.wo");
  model.add_ignored_tensors(theirs + "embed_tokens");
}

void addT5Rules(spec::ModelSpec &model, const std::string &prefix) {
  std::vector<std::string> tables;
  for (const char *name : embeddingNames)
    tables.push_back(prefix + name);
  tables.push_back(prefix + "lm_head");
  addRule(model, "t5.tokens", tables, "");
  addRule(model, "t5.head", prefix + "lm_head");
  addStack(model, prefix, "encoder");
  addStack(model, prefix, "decoder");
  // Of old files.
  model.add_ignored_tensors(
      prefix +
      "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias");
}

std::string t5Key(std::string_view field) {
  for (auto [ours, theirs] :
       {std::pair("hidden_size", "d_model"),
        std::pair("intermediate_size", "d_ff"), std::pair("head_size", "d_kv"),
        std::pair("heads", "num_heads"),
        std::pair("encoder_layers", "num_layers"),
        std::pair("decoder_layers", "num_decoder_layers"),
        std::pair("vocabulary_size", "vocab_size"),
        std::pair("position_buckets", "relative_attention_num_buckets"),
        std::pair("position_distance", "relative_attention_max_distance")})
    if (field == ours)
      return std::string("text_config.") + theirs;
  return "text_config." + std::string(field);
}

} // namespace vlmc
