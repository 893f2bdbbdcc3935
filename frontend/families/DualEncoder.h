//===- DualEncoder.h - What families of dual encoders share -----*- C++ -*-===//
//
// Pairs of a vision and a text tower in transformers' way spell most keys and
// tensors alike; a family adds what is its own.
//
//   checkArchitecture(top, "FooModel");
//   readBlocks(section, *vision.mutable_blocks());
//   readPatches(section, vision);
//   addTowerRules(model, "vision");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_DUALENCODER_H
#define VLMC_FRONTEND_FAMILIES_DUALENCODER_H

#include "frontend/checkpoint/Config.h"
#include "frontend/image/ImageProcessing.h"
#include "frontend/spec/model_spec.pb.h"

namespace vlmc {

inline constexpr int64_t maxFeatures = 1 << 20;
inline constexpr int64_t maxId = INT32_MAX;

/// Refuses checkpoints of one tower alone or with another head. `name` is the
/// class that holds both.
void checkArchitecture(ConfigSection &top, const std::string &name);

/// The defaults of CLIPVisionConfig: CLIP's own tower, and that of LLaVA.
const Json &clipVisionDefaults();

/// hidden_size, intermediate_size, num_hidden_layers, num_attention_heads,
/// hidden_act, layer_norm_eps; the section has all of them.
void readBlocks(ConfigSection &section, spec::TransformerBlocks &blocks);

/// image_size, patch_size, num_channels.
void readPatches(ConfigSection &section, spec::VisionTransformer &vision);

/// vocab_size, max_position_embeddings, pad_token_id.
void readWords(ConfigSection &section, spec::TextTransformer &text,
               spec::TextProcessing &words);

/// Adds the component that compares "vision" with "text".
spec::ContrastiveHead &
addSimilarity(spec::ModelSpec &model,
              spec::ContrastiveHead::Probability probability);

void addRule(spec::ModelSpec &model, const std::string &canonical,
             const std::string &name);
/// The same for a weight that may have any of the prefixes.
void addRule(spec::ModelSpec &model, const std::string &canonical,
             const std::vector<std::string> &prefixes, const std::string &name);
/// The rules of the blocks of a tower as CLIP and SigLIP name them, below any
/// of the prefixes, and the buffers that are ignored.
void addEncoderRules(spec::ModelSpec &model, const std::string &tower,
                     const std::vector<std::string> &prefixes);
/// The same below "<tower>_model.".
void addTowerRules(spec::ModelSpec &model, const std::string &tower);

/// Reads the image processing of `folder`, which must give pictures of `side`.
void readTowerImage(const std::string &folder, const ImageProcessorClass &known,
                    int64_t side, ConfigLog &log, spec::ModelSpec &model);

/// Reads the processing of a video's frames in `folder`, by classes whose
/// defaults are those of LlavaOnevisionVideoProcessor and
/// InternVLVideoProcessor. Where frames do not come out with `side`, the model
/// reads no videos, which is told.
void readTowerVideo(const std::string &folder, int64_t side, ConfigLog &log,
                    spec::ModelSpec &model);

/// The key of config.json that a tower's field comes from.
std::string towerKey(std::string_view component, std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_DUALENCODER_H
