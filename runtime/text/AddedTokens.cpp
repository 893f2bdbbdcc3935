//===- AddedTokens.cpp - Tokens that are cut out of a text ----------------===//
#include "runtime/text/AddedTokens.h"

#include "runtime/abi/vlm_text_abi.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

using namespace vlmc::rt::text;

TokenFinder::TokenFinder() : nodes(1) {}

int32_t TokenFinder::child(int32_t node, char byte) const {
  int32_t at = nodes[node].child;
  while (at >= 0 && nodes[at].byte != byte)
    at = nodes[at].sibling;
  return at;
}

bool TokenFinder::add(std::string_view text, uint32_t id, uint32_t flags) {
  int32_t node = 0;
  for (char byte : text) {
    int32_t next = child(node, byte);
    if (next < 0) {
      next = nodes.size();
      nodes.push_back({-1, -1, nodes[node].child, byte});
      nodes[node].child = next;
    }
    node = next;
  }
  if (text.empty() || nodes[node].token >= 0)
    return false;
  nodes[node].token = tokens.size();
  tokens.push_back({id, flags});
  starts[static_cast<uint8_t>(text[0])] = true;
  return true;
}

/// The leftmost match at or after `from`, of those the longest.
TokenFinder::Match TokenFinder::next(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts[static_cast<uint8_t>(text[begin])])
      continue;
    Match best = {begin, begin, -1};
    int32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      node = child(node, text[at]);
      if (node < 0)
        break;
      if (nodes[node].token >= 0)
        best = {begin, at + 1, nodes[node].token};
    }
    if (best.token >= 0)
      return best;
  }
  return {text.size(), text.size(), -1};
}

static bool endsInWord(std::string_view text, size_t at) {
  if (at == 0)
    return false;
  size_t start = previousChar(text, at);
  return hasFlag(nextChar(text, start), CharRustWord);
}

static bool beginsWithWord(std::string_view text, size_t at) {
  return at != text.size() && hasFlag(nextChar(text, at), CharRustWord);
}

bool TokenFinder::isBlank(char32_t c) const {
  return isPython ? isPythonSpace(c) : hasFlag(c, CharRustSpace);
}

/// Widens a match by the white space that its token strips; false if the token
/// may not stand there.
bool TokenFinder::accept(std::string_view text, size_t last,
                         Match &match) const {
  uint32_t flags = tokens[match.token].flags;
  if (flags & VLM_TEXT_ADDED_SINGLE_WORD)
    if (endsInWord(text, match.begin) || beginsWithWord(text, match.end))
      return false;
  if (flags & VLM_TEXT_ADDED_LSTRIP) {
    size_t begin = match.begin;
    while (begin > 0) {
      size_t start = previousChar(text, begin), at = start;
      if (!isBlank(nextChar(text, at)))
        break;
      begin = start;
    }
    match.begin = std::max(begin, last);
  }
  if (flags & VLM_TEXT_ADDED_RSTRIP)
    for (size_t at = match.end; at < text.size();) {
      if (!isBlank(nextChar(text, at)))
        break;
      match.end = at;
    }
  return true;
}
