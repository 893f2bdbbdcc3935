//===- Charsmap.h - A precompiled map of characters -------------*- C++ -*-===//
//
// What SentencePiece calls a precompiled charsmap: stretches of text and what
// they become, as a Darts double array over bytes. Used in place; any bytes are
// safe to look up in.
//
//   Charsmap map(tables);
//   if (auto found = map.longest(text))
//     out.append(found->content), text.remove_prefix(found->bytes);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_CHARSMAP_H
#define VLMC_RUNTIME_TEXT_CHARSMAP_H

#include "runtime/text/Tables.h"

#include <optional>

namespace vlmc::rt::text {

class Charsmap {
public:
  explicit Charsmap(const Tables &tables)
      : trie(tables.charsmapTrie), content(tables.charsmapText) {}

  struct Found {
    size_t bytes;
    std::string_view content;
  };
  /// The longest or the shortest entry that the text begins with.
  std::optional<Found> longest(std::string_view text) const {
    return find(text, /*shortest=*/false);
  }
  std::optional<Found> shortest(std::string_view text) const {
    return find(text, /*shortest=*/true);
  }

private:
  std::optional<Found> find(std::string_view text, bool shortest) const;

  std::span<const uint32_t> trie;
  std::span<const char> content;
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_CHARSMAP_H
