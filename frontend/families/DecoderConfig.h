//===- DecoderConfig.h - Configs of language models -------------*- C++ -*-===//
//
// Reads the text_config of a vision-language model, whatever decoder it names.
//
//   readDecoder(textConfig, file, "text_config", log, *component);
//   addDecoderRules(model, {"language_model.model.", "model.language_model."},
//                   {"language_model.lm_head", "lm_head"});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_DECODERCONFIG_H
#define VLMC_FRONTEND_FAMILIES_DECODERCONFIG_H

#include "frontend/checkpoint/Config.h"
#include "frontend/spec/model_spec.pb.h"

namespace vlmc {

/// What the model around a decoder has to know of it.
struct DecoderFacts {
  /// Of the config: one id or several; none where it names none.
  std::vector<int64_t> endTokens;
  std::optional<int64_t> padToken;
};

/// eos_token_id, one or a list, and pad_token_id.
void readTokens(ConfigSection &section, DecoderFacts &facts);

/// Reads rope_parameters of version 5 or rope_scaling of version 4, and the
/// keys beside them, of a decoder's section.
void readRotary(ConfigSection &decoder, int64_t headSize, int64_t maxTokens,
                const std::string &file, const std::string &path,
                ConfigLog &log, spec::RotaryEmbedding &rotary);

/// Reads the config of a llama, mistral, qwen2 or qwen3 decoder; keys that it
/// lacks have the defaults of the class that its model_type names.
/// `tied` is what the model around it says of tied embeddings.
DecoderFacts readDecoder(const Json &config, const std::string &file,
                         const std::string &path, bool tied, ConfigLog &log,
                         spec::Decoder &decoder);

/// The rules of the decoder "text": `bodies` are the prefixes that its model
/// may have in checkpoints, `heads` the names of the head; `layers` are the
/// prefixes of layers, where these are not "layers.{}." behind those.
void addDecoderRules(spec::ModelSpec &model,
                     const std::vector<std::string> &bodies,
                     const std::vector<std::string> &heads,
                     std::vector<std::string> layers = {});

/// The same for a model that holds its decoder as `language_model`, as
/// transformers 4 and 5 write it; of a tied head the file may hold a copy.
void addLanguageModelRules(spec::ModelSpec &model);

/// The sizes of a decoder whose heads all have keys of their own and share the
/// hidden size; `intermediate` is the key of the inner size.
void readPlainSizes(ConfigSection &section, const std::string &intermediate,
                    spec::Decoder &decoder);

/// Whether the logits come from the token embeddings by the model's own flag,
/// `tie_word_embeddings` of the top level, which counts in place of its
/// decoder's and is true where it is not given.
bool readModelTie(ConfigSection &top, const Json &config);

/// The key of text_config that a decoder's field comes from.
std::string decoderKey(std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_DECODERCONFIG_H
