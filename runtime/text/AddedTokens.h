//===- AddedTokens.h - Tokens that are cut out of a text ------------------===//
//
// Added tokens are found in the text itself before anything else happens to
// it, or, those marked `normalized`, in the normalised text. Of two that begin
// at the same place the longer one is taken.
//
//   TokenFinder finder;
//   finder.add("<|endoftext|>", 49407, flags);
//   finder.cut(text, [&](std::string_view part, int32_t id) { ... });
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_ADDEDTOKENS_H
#define VLMC_RUNTIME_TEXT_ADDEDTOKENS_H

#include <cstdint>
#include <string_view>
#include <vector>

namespace vlmc::rt::text {

class TokenFinder {
public:
  TokenFinder();
  /// White space is what Python takes for it, and not Rust.
  void stripAsPython() { isPython = true; }
  /// False if the text was added before.
  bool add(std::string_view text, uint32_t id, uint32_t flags);

  /// Calls `found` with each part of the text in order: a token, white space
  /// that it strips included, with its id, or what lies between, with -1.
  template <typename Found> void cut(std::string_view text, Found found) const {
    size_t last = 0;
    for (size_t at = 0; at < text.size();) {
      Match match = next(text, at);
      if (match.token < 0)
        break;
      at = match.end;
      if (!accept(text, last, match))
        continue;
      if (last < match.begin)
        found(text.substr(last, match.begin - last), -1);
      found(text.substr(match.begin, match.end - match.begin),
            static_cast<int32_t>(tokens[match.token].id));
      last = match.end;
    }
    if (last != text.size())
      found(text.substr(last), -1);
  }

private:
  struct Node {
    int32_t token = -1;
    int32_t child = -1;   // first of a list
    int32_t sibling = -1; // next in the list that this node is in
    char byte = 0;
  };
  struct Token {
    uint32_t id;
    uint32_t flags;
  };
  struct Match {
    size_t begin;
    size_t end;
    int32_t token; // index, or -1
  };

  int32_t child(int32_t node, char byte) const;
  Match next(std::string_view text, size_t from) const;
  bool accept(std::string_view text, size_t last, Match &match) const;
  bool isBlank(char32_t c) const;

  std::vector<Node> nodes; // a trie; the root is 0
  std::vector<Token> tokens;
  bool starts[256] = {}; // bytes that a token begins with
  bool isPython = false;
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_ADDEDTOKENS_H
