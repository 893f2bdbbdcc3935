//===- MatchTask.h - Whether pictures and texts belong together -*- C++ -*-===//
//
// The task `match`, of models with a Q-Former for retrieval: preprocesses
// pictures, tokenises texts, and computes the logits of the matching head and
// the largest cosine of a picture's queries with each text.
//
//   MatchTask task(model.get());
//   std::optional<Fault> fault = task.inputs().addImages(paths);
//   if (!fault)
//     fault = task.inputs().addTexts(texts);
//   if (!fault)
//     fault = task.run();
//   write(task.writtenValues());   // itm_logits, itc_logits, ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_MATCHTASK_H
#define VLMC_TOOLS_VLMC_MATCHTASK_H

#include "tools/vlmc/EmbedTask.h"

namespace vlmc::tool {

/// Whether the model has a matching head.
bool canMatch(const vlm_model_t *model);

/// Runs `encode_image` of a model whose Q-Former reads words: adds to `given`
/// the qformer_input_ids and qformer_attention_mask of `tensors`, with places
/// for the queries in front. Other models get nothing.
/// Errors: ids that are missing or of another shape.
std::optional<Fault> addQFormerWords(const vlm_model_t *model,
                                     const TensorMap &tensors,
                                     TensorMap &given);

class MatchTask {
public:
  explicit MatchTask(const vlm_model_t *model) : model(model), embed(model) {}

  /// Where pictures and texts go in. Ready-made ids begin with places for the
  /// queries where the model's config names a token for them.
  EmbedTask &inputs() { return embed; }
  void addInput(const std::string &name, HostTensor tensor);

  /// Errors: pictures and texts that make no pairs: as many of both, or one of
  /// either.
  std::optional<Fault> run();

  /// Inputs and results by name; masks are bytes.
  TensorMap writtenValues() const;

private:
  std::optional<Fault> readWords();
  std::optional<Fault> makePairs(TensorMap &pairs);
  void compare();

  const vlm_model_t *model;
  EmbedTask embed;
  bool hasPlaces = false; ///< ready-made ids have them already
  TensorMap tensors;
  HostTensor ids, mask; ///< of the words alone
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_MATCHTASK_H
