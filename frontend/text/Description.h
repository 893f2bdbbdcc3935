//===- Description.h - A tokenizer between its files and its tables -------===//
//
// What the readers of this folder fill in and WriteTables.cpp lays out. Kinds,
// flags and sides are those of runtime/abi/vlm_text_abi.h.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_DESCRIPTION_H
#define VLMC_FRONTEND_TEXT_DESCRIPTION_H

#include "runtime/abi/vlm_text_abi.h"

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace vlmc::text {

struct Stage {
  uint32_t kind = 0;
  uint32_t flags = 0;
  uint32_t number = 0;
  std::string pattern;
  std::string content;

  bool operator==(const Stage &) const = default;
};

/// A piece of the template of special tokens.
struct PostPiece {
  uint32_t kind = VLM_TEXT_PIECE_TEXT;
  uint32_t id = 0;

  bool operator==(const PostPiece &) const = default;
};

using Vocabulary = std::unordered_map<std::string, uint32_t>;

struct BpeDescription {
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;
  std::optional<std::string> unkToken;
  std::string wordPrefix;
  std::string wordSuffix;
  uint32_t flags = 0;
  /// Of merges.txt: the last line has no end, as when the file was cut.
  bool endsInsideLine = false;
};

/// What a unigram model has beside its vocabulary.
struct UnigramDescription {
  /// By id; NaN for a token that is never chosen.
  std::vector<double> scores;
  double unknownScore = 0;
  /// Of a precompiled charsmap.
  std::vector<uint32_t> charsmapTrie;
  std::vector<char> charsmapText;
  /// Ids of tokens that SentencePiece does not normalise.
  std::vector<uint32_t> fixed;
};

struct AddedToken {
  std::string content;
  bool singleWord = false;
  bool lstrip = false;
  bool rstrip = false;
  std::optional<bool> normalized; // absent: not if special
  bool special = false;

  bool isNormalized() const { return normalized.value_or(!special); }
  /// Equal in effect.
  bool operator==(const AddedToken &other) const {
    return content == other.content && singleWord == other.singleWord &&
           lstrip == other.lstrip && rstrip == other.rstrip &&
           isNormalized() == other.isNormalized() && special == other.special;
  }
};

/// What a checkpoint's processor does to prompts.
struct PromptDescription {
  std::map<std::string, std::string> roles; ///< "bos_token" and so on
  std::string chatTemplate;
  std::map<std::string, std::string> templates; ///< others, by name
  std::string pictureToken; ///< "": prompts have no pictures
  uint32_t picturePatch = 0;
  int32_t pictureExtra = 0; ///< tokens beside those of the patches
  std::string pictureFrame; ///< before and behind a picture; "": nothing
  std::string begin;        ///< of prompts, instead of special tokens
  std::string partEnd;      ///< between two texts of a prompt in parts
  bool stripsParts = false;
  uint32_t picturesFirst = VLM_TEXT_PICTURES_INSIDE;
  /// With pictures first: what ends each of their lines, what is behind them,
  /// and what ends a prompt with pictures. These are its only special tokens.
  std::string pictureLine, pictureEnd, promptEnd;
  std::string placeholder; ///< of a picture in prompts; "": pictureToken
  std::string videoToken;  ///< "": prompts have no videos
  std::string frameName;   ///< of a video's frames that are pictures; "": none
  /// Before the whole of a picture that is also shown in crops, between it and
  /// them, and between two of them.
  std::string cropsBegin, cropsMiddle, cropsJoin;
};

struct TokenizerDescription {
  std::vector<Stage> normalizers;
  std::vector<Stage> preTokenizers;
  std::vector<Stage> decoders;
  std::vector<PostPiece> post;
  uint32_t modelKind = VLM_TEXT_MODEL_BPE;
  BpeDescription model;
  UnigramDescription unigram;
  uint32_t maxWordChars = 0; ///< of word pieces
  /// By id, and the ids of those that were once added as normalised: they
  /// decode to their normalised form.
  std::map<uint32_t, AddedToken> added;
  std::map<uint32_t, bool> decodesNormalized;
  int32_t padId = -1;
  uint32_t maxTokens = 0;
  uint32_t paddingSide = VLM_TEXT_RIGHT;
  uint32_t truncationSide = VLM_TEXT_RIGHT;
  PromptDescription prompt;
  std::vector<std::string> warnings;
};

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_DESCRIPTION_H
