//===- TextStream.cpp - Text of tokens that come one by one ---------------===//
#include "runtime/tasks/TextStream.h"

#include <algorithm>

namespace vlmc::rt {

/// Bytes that are no character yet decode to these at the end.
static constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

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
  piece.clear();
  std::string text;
  if (vlm_status_t *status = decode(ids, text))
    return status;
  size_t stop = text.npos;
  for (const std::string &each : stops)
    if (!each.empty())
      stop = std::min(stop, text.find(each));
  if (stop != text.npos) {
    isStopped = isLast = true;
    text.resize(stop);
  }
  std::string_view certain = text;
  if (!isLast) {
    while (certain.ends_with(kReplacement))
      certain.remove_suffix(kReplacement.size());
    certain.remove_suffix(heldForStops(certain, stops));
    // Never into a character of the next token's making.
    while (!certain.empty() && certain.size() < text.size() &&
           (text[certain.size()] & 0xC0) == 0x80)
      certain.remove_suffix(1);
  }
  // Bytes may take back what they seemed to be until they are complete.
  if (!certain.starts_with(given) && !isLast)
    return nullptr;
  size_t common =
      std::mismatch(given.begin(), given.end(), certain.begin(), certain.end())
          .first -
      given.begin();
  while (common > 0 && common < certain.size() &&
         (certain[common] & 0xC0) == 0x80)
    --common;
  piece = certain.substr(common);
  given = certain;
  return nullptr;
}

vlm_status_t *TextStream::add(int32_t id, bool isByte, std::string &piece) {
  piece.clear();
  ids.push_back(id);
  if (isByte)
    return nullptr;
  return emit(/*isLast=*/false, piece);
}

vlm_status_t *TextStream::finish(std::string &piece) {
  piece.clear();
  return isStopped ? nullptr : emit(/*isLast=*/true, piece);
}

} // namespace vlmc::rt
