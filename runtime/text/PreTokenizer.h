//===- PreTokenizer.h - Splitting a text into words -----------------------===//
//
// The second stage of a tokenizer: a text, cut where added tokens were found,
// is split into words, which the model then takes one by one. A kind is a
// class in PreTokenizer.cpp and a line in makePreTokenizer().
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_PRETOKENIZER_H
#define VLMC_RUNTIME_TEXT_PRETOKENIZER_H

#include "runtime/text/Tables.h"

#include <memory>
#include <string>
#include <vector>

namespace vlmc::rt::text {

/// Bytes [begin, end) of Pieces::text, or an added token.
struct Piece {
  size_t begin;
  size_t end;
  int32_t id;          // of an added token; -1: text
  bool begins = false; // the whole text
};

struct Pieces {
  std::string text;
  std::vector<Piece> pieces;

  std::string_view view(const Piece &piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }
  /// Appends text as a piece; empty text is none.
  void add(std::string_view part, bool begins) {
    if (!part.empty())
      pieces.push_back({text.size(), text.size() + part.size(), -1, begins});
    text += part;
  }
};

class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  /// False if the work outgrew its limits.
  virtual bool apply(Pieces &pieces) const = 0;
};

/// Returns "" or the problem.
std::string makePreTokenizer(const Tables &tables, const vlm_text_stage &stage,
                             std::unique_ptr<PreTokenizer> &out);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_PRETOKENIZER_H
