//===- TextStream.h - Text of tokens that come one by one -------*- C++ -*-===//
//
// Turns tokens into text as they come, in pieces that together are the text of
// all of them: what may still change with the next token is held back, and so
// is what may become one of the texts that stop the answer.
//
//   TextStream stream(decode, {"USER:"});
//   if (auto *status = stream.add(id, piece)) // new text, perhaps none
//     return status;
//   if (stream.stopped()) ...
//   stream.finish(piece);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_TEXTSTREAM_H
#define VLMC_RUNTIME_TASKS_TEXTSTREAM_H

#include "runtime/vlm.h"

#include <functional>
#include <string>
#include <vector>

namespace vlmc::rt {

class TextStream {
public:
  /// The text of ids; with `isBegun` as much of it as is certain whatever comes
  /// behind them.
  using Decode = std::function<vlm_status_t *(const std::vector<int32_t> &ids,
                                              bool isBegun, std::string &text)>;

  TextStream(Decode decode, std::vector<std::string> stops)
      : decode(std::move(decode)), stops(std::move(stops)) {}

  /// Takes a token; `piece` becomes the text that is certain now, in whole
  /// characters.
  vlm_status_t *add(int32_t id, std::string &piece);
  /// What was held back, once no token follows.
  vlm_status_t *finish(std::string &piece);
  /// Whether one of the stops has come; it is no part of the text.
  bool stopped() const { return isStopped; }

private:
  vlm_status_t *emit(bool isLast, std::string &piece);

  Decode decode;
  std::vector<std::string> stops;
  std::vector<int32_t> ids;
  size_t given = 0; ///< bytes of the text that have been told
  bool isStopped = false;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_TEXTSTREAM_H
