//===- Prompt.h - Words and pictures as tokens ------------------*- C++ -*-===//
//
// Reads a prompt: its ids, and for each of its pictures where its tokens stand
// and how it goes into the model. Nothing is run.
//
//   PromptReader reader;
//   if (auto *status = reader.open(model)) return status;
//   Prompt prompt;
//   if (auto *status = reader.read(text, images, special, prompt)) ...
//   if (auto *status = reader.preprocess(images, prompt)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_PROMPT_H
#define VLMC_RUNTIME_TASKS_PROMPT_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/core/LargeMemory.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/tasks/FrameTower.h"
#include "runtime/tasks/GridTower.h"
#include "runtime/tasks/TiledTower.h"
#include "runtime/vlm.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc::rt {

/// Tells pictures apart by what is in them.
using PictureKey = std::array<uint8_t, 32>;

using Floats = std::vector<float, LargeAllocator<float>>;

/// Empties a list and gives its memory back, which assigning {} does not.
template <typename List> void giveUp(List &list) { List().swap(list); }

/// What the tower makes of a picture: a row for each of its tokens.
using PictureFeatures = std::shared_ptr<const Floats>;

/// A picture of a prompt, and the tokens [begin, end) in which its own stand.
struct Picture {
  PictureKey key{};
  int64_t height = 0, width = 0; ///< of a tile
  int64_t tiles = 0;
  int64_t given = 0; ///< pixels before preprocessing
  /// Where a tower takes all tiles at once: their arrangement's number, and the
  /// features of the tiles that are there, which come first.
  int64_t arrangement = 0, shown = 0;
  /// Where each tile has a size of its own: heights and widths.
  std::vector<std::array<int64_t, 2>> pieces;
  /// Ids of the prompt for what the tower reads beside a picture, if anything.
  std::vector<int64_t> words;
  /// f32 [tiles, 3, height, width]; empty once the features are there.
  Floats pixels;
  /// Of the tiles' features, those that stand for its tokens.
  FeatureRows rows;
  View view;
  int64_t token = 0; ///< the id of its tokens
  PictureFeatures features;
  int64_t begin = 0, end = 0;
  int64_t tokens = 0;
  int64_t number = 0; ///< among those of the prompt, by their places
};

struct Prompt {
  std::vector<int64_t> ids;
  /// Where an encoder reads the prompt: what it reads, pictures included; `ids`
  /// are then what the answer begins with.
  std::vector<int64_t> encoded;
  /// So many tokens from the first on see each other, before and behind, or
  /// only those of each picture among them; they run at once.
  int64_t mutual = 0;
  std::vector<Picture> pictures;

  int64_t size() const { return int64_t(ids.size()); }
  /// Of what was asked, whoever reads it.
  int64_t tokens() const {
    return int64_t((encoded.empty() ? ids : encoded).size());
  }
  int64_t tiles() const;
  int64_t pixels() const;
};

class PromptReader {
public:
  /// Errors: VLM_UNSUPPORTED if the model generates no text.
  vlm_status_t *open(const vlm_model_t *opened);

  /// Finds ids and places. Errors: as vlm_session_prompt, but for the prompt's
  /// length.
  vlm_status_t *read(std::string_view text,
                     std::span<const vlm_image_t *const> images, bool special,
                     Prompt &out) const;
  /// Preprocesses the pictures of what was read, several at once, but for those
  /// whose features the model keeps.
  vlm_status_t *preprocess(std::span<const vlm_image_t *const> images,
                           Prompt &out) const;

  /// Refuses more than `request` allows: tiles and pixels.
  static vlm_status_t *checkBudget(const vlm_request_t &request,
                                   const Prompt &prompt);

  const vlm_model_t *model = nullptr;
  const vlm_abi_generation *facts = nullptr;
  bool seesPrompt = false;   ///< whether the tokens of a prompt see each other
  bool seesPictures = false; ///< or those of each picture
  bool encodes = false;      ///< whether an encoder reads the prompt
  GridTower grid;            ///< if pictures have grids of their own
  FrameTower frames;         ///< if they are looked at frame by frame
  TiledTower tower;          ///< if it takes all tiles of a picture at once
  std::unique_ptr<vlm_tokenizer_t, decltype(&vlm_tokenizer_destroy)> tokenizer{
      nullptr, vlm_tokenizer_destroy};
  /// Of words that the tower reads beside a picture; may be null.
  std::unique_ptr<vlm_tokenizer_t, decltype(&vlm_tokenizer_destroy)>
      pictureWords{nullptr, vlm_tokenizer_destroy};

private:
  vlm_status_t *readWords(std::string_view text, Prompt &out) const;
  vlm_status_t *measure(const vlm_image_t &image, Picture &picture) const;
  vlm_status_t *measureAll(std::span<const vlm_image_t *const> images,
                           Prompt &out, std::vector<int64_t> &sizes,
                           std::vector<int64_t> &lines) const;
  vlm_status_t *addLines(const vlm_image_t &image,
                         std::vector<int64_t> &lines) const;
  vlm_status_t *encode(std::string_view text, const Prompt &prompt,
                       const std::vector<int64_t> &sizes,
                       const std::vector<int64_t> &lines, bool special,
                       std::vector<size_t> &order,
                       std::vector<int64_t> &ids) const;
  vlm_status_t *place(const std::vector<int64_t> &sizes,
                      const std::vector<size_t> &order, Prompt &out) const;
};

/// The text of ids, special tokens and those that the tokenizer does not know
/// left out; of ids behind which others may come (`isBegun`) as much as is
/// certain.
vlm_status_t *decodeText(const vlm_tokenizer_t *tokenizer,
                         const std::vector<int32_t> &ids, bool isBegun,
                         std::string &text);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_PROMPT_H
