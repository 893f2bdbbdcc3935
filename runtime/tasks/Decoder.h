//===- Decoder.h - Runs of a language model ---------------------*- C++ -*-===//
//
// One run of the entry point `decode` over tokens of several sequences, which
// lie one behind the other: a prompt's next piece, an answer's last token.
//
//   Decoder decoder;
//   if (auto *status = decoder.open(reader)) return status;
//   std::vector<Slice> slices = {{.sequence = 0, .first = 0, .ids = ids}};
//   if (auto *status = decoder.run(cache, slices)) return status;
//   decoder.logits(slices[0].row)
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_DECODER_H
#define VLMC_RUNTIME_TASKS_DECODER_H

#include "runtime/tasks/LongRotary.h"
#include "runtime/tasks/PictureRows.h"
#include "runtime/tasks/Prompt.h"
#include "runtime/tasks/Requests.h"

#include <span>
#include <vector>

namespace vlmc::rt {

/// Tokens of one sequence at places from `first` on.
struct Slice {
  int32_t sequence = 0;
  int64_t first = 0;
  std::span<const int64_t> ids;
  /// Of the sequence that transformers would run them in: the whole prompt, or
  /// what is there with an answer's last token.
  int64_t length = 0;
  /// Those of the whole sequence; their features are there.
  std::span<const Picture> pictures;
  /// So many tokens of the sequence see each other; those of the slice that are
  /// among them are all of them that are not in the cache yet.
  int64_t mutual = 0;
  /// Where an encoder read the prompt: the rows that it gave, which each token
  /// sees, and with the first tokens the rows themselves.
  int64_t encoded = 0;
  const Floats *encoderRows = nullptr;
  /// Whether the logits behind each token are wanted, or behind the last alone.
  bool wantsAll = false;
  /// Set by the run: the row of the first logits.
  size_t row = 0;
};

class Decoder {
public:
  /// `sequences` and `maxTokens` are those of the cache.
  vlm_status_t *open(const PromptReader &reader, int64_t sequences,
                     int64_t maxTokens);

  /// Runs the slices; the cache has room for them. Errors: those of the run.
  vlm_status_t *run(vlm_cache_t *cache, std::span<Slice> slices);
  /// Makes sequence `to` begin as the first tokens of `from`, whose pictures
  /// are given; for caches of pictures, as vlm_cache_fork() for that of tokens.
  vlm_status_t *forkPictures(int32_t from, int32_t to,
                             std::span<const Picture> pictures, int64_t tokens,
                             int64_t encoded);
  /// Forgets a sequence's pictures.
  void clearPictures(int32_t sequence);
  /// Keys and values of so many pictures.
  size_t pictureBytes(size_t pictures) const;
  /// The same of so many rows of an encoder.
  size_t encodedBytes(int64_t rows) const;
  /// Of the last run, until the next one.
  std::span<const float> logits(size_t row) const {
    return {results.data() + row * size_t(words), size_t(words)};
  }
  /// Working memory of a run of so many tokens and rows of logits, and of what
  /// goes in and comes out; `encoded` rows of an encoder among it.
  vlm_status_t *memory(int64_t tokens, int64_t rows, int64_t encoded,
                       size_t &work, size_t &tensors) const;

  /// Whether keys of tokens that were run in a sequence of one length serve one
  /// of another.
  bool isSameLength(int64_t length, int64_t other) const {
    return rotary.isSame(length, other);
  }

  /// Whether tokens before the first picture see pictures behind them: then
  /// other pictures make other tokens.
  bool seesAhead(std::span<const Picture> pictures) const {
    return pictureRows.seesAhead(pictures);
  }

  int64_t words = 0;        ///< of the vocabulary
  int64_t featureWidth = 0; ///< 0: it takes no pictures
  int64_t mostTokens = 0;   ///< of one run

private:
  vlm_status_t *findInputs();
  vlm_status_t *openPictures(const vlm_model_t *model, int64_t sequences,
                             int64_t maxTokens);
  void gather(const Slice &slice);
  vlm_status_t *gatherSeen(const Slice &slice);
  vlm_status_t *gatherEncoded(const Slice &slice);
  void tellRanges(const Slice &slice);
  void tellSeen(const Slice &slice);
  void addFeatures(std::vector<vlm_tensor_t> &in, int64_t *tokens);

  const vlm_abi_generation *facts = nullptr;
  bool seesPrompt = false, seesPictures = false, encodes = false;
  Encoder entry;
  vlm_tensor_t cacheInput{};
  // Where layers attend to pictures: each has so many rows of keys and values.
  std::unique_ptr<vlm_cache_t, decltype(&vlm_cache_destroy)> pictureCache{
      nullptr, vlm_cache_destroy};
  vlm_tensor_t pictureInput{};
  int64_t rowsPerPicture = 0;
  PictureRows pictureRows;
  // What the run is given, kept so that a step takes no memory.
  std::vector<int64_t> ids;
  std::vector<int32_t> sequence, position, featureRow, rows;
  std::vector<int32_t> featureSequence, featurePosition, first, last, shown,
      alike;
  Floats features, results;
  LongRotary rotary;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_DECODER_H
