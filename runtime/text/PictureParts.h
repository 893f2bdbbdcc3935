//===- PictureParts.h - Placeholders of pictures in parts -----------------===//
//
// What processors write in the place of a picture that goes into the model in
// parts: VLM_TEXT_PICTURES_PARTS (Idefics2Processor of transformers) and
// VLM_TEXT_PICTURES_TILES (Idefics3Processor, SmolVLMProcessor).
//
//   PictureWords words{"<image>", "<fake_token_around_image>", "<global-img>",
//                      64};
//   std::string text = writeParts(words, prompt, {{320}});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_PICTUREPARTS_H
#define VLMC_RUNTIME_TEXT_PICTUREPARTS_H

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace vlmc::rt::text {

struct PictureWords {
  std::string_view token; ///< the placeholder, and each of a part's tokens
  std::string_view frame; ///< around parts
  std::string_view whole; ///< before the tokens of the whole picture
  int64_t tokens = 0;     ///< of a part
};

/// How many placeholders there are.
size_t countPlaceholders(const PictureWords &words, std::string_view prompt);

/// Each picture has `counts[i]` tokens, in parts of `words.tokens`. Frames that
/// adjoin are one; a blank goes between a frame and a word behind it.
std::string writeParts(const PictureWords &words, std::string_view prompt,
                       std::span<const int64_t> counts);

/// Each picture has two numbers in `lines`: how many, and of how many squares;
/// none: it is whole. Squares are numbered from 1 on.
std::string writeTiles(const PictureWords &words, std::string_view prompt,
                       std::span<const int64_t> lines);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_PICTUREPARTS_H
