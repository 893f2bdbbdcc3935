//===- Session.h - Conversations with a model -------------------*- C++ -*-===//
//
// What lies behind vlm_session_t: one sequence of tokens with its cache, the
// pictures in it, and the logits behind its last token. Used by Session.cpp
// only; the interface is the section "Conversations" of runtime/vlm.h.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_SESSION_H
#define VLMC_RUNTIME_TASKS_SESSION_H

#include "runtime/tasks/Requests.h"

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

struct vlm_session_t {
  /// A picture that has gone through preprocessing, and the tokens [begin, end)
  /// in which its own stand.
  struct Picture {
    int64_t height = 0, width = 0; ///< of a tile
    int64_t tiles = 0;
    std::vector<float> pixels;
    /// Of the tiles' features, those that stand for its tokens.
    std::vector<int32_t> rows;
    int64_t begin = 0, end = 0;
    int64_t tokens = 0;
  };
  struct Prompt {
    std::vector<int64_t> ids;
    std::vector<Picture> pictures;
  };
  /// Rows of the tower's features, and for each token its row, or -1.
  struct Features {
    std::vector<float> rows;
    std::vector<int32_t> rowOf;
  };

  vlm_status_t *open(const vlm_model_t *opened,
                     const vlm_session_options_t &options);
  vlm_status_t *prompt(std::string_view text, const vlm_image_t *const *images,
                       size_t count, bool special);
  vlm_status_t *count(std::string_view text, const vlm_image_t *const *images,
                      size_t pictures, bool special, int64_t &tokens) const;
  /// `tell` takes pieces of text and says whether more is wanted.
  vlm_status_t *generate(const vlm_generate_options_t &options,
                         const std::function<bool(const std::string &)> &tell,
                         vlm_end_t &end, int64_t &count);

  Prompt held; ///< what was generated included
  bool isReady = false;
  int64_t maxTokens = 0;
  std::unique_ptr<vlm_cache_t, decltype(&vlm_cache_destroy)> cache{
      nullptr, vlm_cache_destroy};

private:
  vlm_status_t *findInputs();
  vlm_status_t *cut(const vlm_image_t &image, Picture &picture) const;
  vlm_status_t *read(std::string_view text, const vlm_image_t *const *images,
                     size_t count, bool special, bool needsPixels,
                     Prompt &out) const;
  vlm_status_t *place(const std::vector<int64_t> &sizes, Prompt &out) const;
  int64_t common(const Prompt &next) const;
  vlm_status_t *encode(const Prompt &prompt, int64_t from, Features &out) const;
  vlm_status_t *run(const int64_t *ids, const int32_t *featureRows,
                    int64_t count, Features &features);
  vlm_status_t *catchUp();
  bool isEnd(int64_t id) const;

  const vlm_model_t *model = nullptr;
  const vlm_abi_generation *facts = nullptr;
  std::unique_ptr<vlm_tokenizer_t, decltype(&vlm_tokenizer_destroy)> tokenizer{
      nullptr, vlm_tokenizer_destroy};
  vlmc::rt::Encoder decoder;
  vlm_tensor_t cacheInput{};
  int64_t featureWidth = 0; ///< 0: the decoder takes no pictures
  int64_t chunk = 1;
  int64_t computed = 0;      ///< tokens that lie in the cache
  std::vector<float> logits; ///< behind token computed - 1
};

#endif // VLMC_RUNTIME_TASKS_SESSION_H
