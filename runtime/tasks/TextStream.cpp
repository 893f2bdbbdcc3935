//===- TextStream.cpp - Text of tokens that come one by one ---------------===//
#include "runtime/tasks/TextStream.h"

#include <algorithm>
#include <string_view>

namespace vlmc::rt {

/// How much of the text's end may become one of the stops.
static size_t heldForStops(std::string_view text,
                           const std::vector<std::string> &stops) {
  size_t most = 0;
  for (const std::string &stop : stops)
    for (size_t n = std::min(stop.size(), text.size() + 1); n-- > 1;)
      if (text.ends_with(std::string_view(stop).substr(0, n))) {
        most = std::max(most, n);
        break;
      }
  return most;
}

vlm_status_t *TextStream::emit(bool isLast, std::string &piece) {
  std::string text;
  if (vlm_status_t *status = decode(ids, /*isBegun=*/!isLast, text))
    return status;
  size_t stop = text.npos;
  for (const std::string &each : stops)
    if (!each.empty())
      stop = std::min(stop, text.find(each));
  if (stop != text.npos) {
    isStopped = isLast = true;
    text.resize(stop);
  }
  size_t end = text.size() - (isLast ? 0 : heldForStops(text, stops));
  // A stop may begin in the midst of a character.
  while (end > 0 && end < text.size() && (text[end] & 0xC0) == 0x80)
    --end;
  // A stop's beginning is told once that it is none is certain.
  if (end <= given)
    return nullptr;
  piece = text.substr(given, end - given);
  given = end;
  return nullptr;
}

vlm_status_t *TextStream::add(int32_t id, std::string &piece) {
  piece.clear();
  ids.push_back(id);
  return emit(/*isLast=*/false, piece);
}

vlm_status_t *TextStream::finish(std::string &piece) {
  piece.clear();
  return isStopped ? nullptr : emit(/*isLast=*/true, piece);
}

} // namespace vlmc::rt
