//===- Charsmap.cpp - A precompiled map of characters ---------------------===//
//
// Units of a Darts double array (github.com/s-yata/darts-clone): a label, an
// offset to the children, and whether a child holds a value.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Charsmap.h"

using namespace vlmc::rt::text;

static bool hasLeaf(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t label(uint32_t unit) { return unit & (1U << 31 | 0xFF); }
static uint32_t value(uint32_t unit) { return unit & ((1U << 31) - 1); }
static uint32_t offset(uint32_t unit) {
  return unit >> 10 << ((unit & 1U << 9) >> 6);
}

std::optional<Charsmap::Found> Charsmap::find(std::string_view text,
                                              bool shortest) const {
  std::optional<Found> best;
  if (trie.empty())
    return best;
  size_t node = offset(trie[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= trie.size() || label(trie[node]) != byte)
      break;
    uint32_t unit = trie[node];
    node ^= offset(unit);
    if (!hasLeaf(unit) || node >= trie.size())
      continue;
    uint32_t at = value(trie[node]);
    // The last byte is a zero, as Tables has checked.
    if (at < content.size())
      best = {i + 1, std::string_view(content.data() + at)};
    if (shortest && best)
      break;
  }
  return best;
}
