// Text of tokens as they come: whole characters, stops.
#include "runtime/tasks/TextStream.h"

#include <gtest/gtest.h>

using namespace vlmc::rt;

/// A stream over tokens that are bytes; characters that are not complete decode
/// to U+FFFD, byte by byte, once nothing follows.
static std::vector<std::string> pieces(const std::string &bytes,
                                       std::vector<std::string> stops = {},
                                       bool *stopped = nullptr) {
  auto decode = [](const std::vector<int32_t> &ids, bool isBegun,
                   std::string &text) {
    std::string all(ids.begin(), ids.end());
    for (size_t at = 0; at < all.size();) {
      auto lead = static_cast<unsigned char>(all[at]);
      size_t count = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      if (lead >= 0xC0 && at + count <= all.size()) {
        text += all.substr(at, count);
      } else if (lead < 0x80) {
        text += all[at];
      } else if (isBegun) {
        break;
      } else {
        text += "\xEF\xBF\xBD";
        count = 1;
      }
      at += count;
    }
    return static_cast<vlm_status_t *>(nullptr);
  };
  TextStream stream(decode, std::move(stops));
  std::vector<std::string> out;
  std::string piece;
  for (char byte : bytes) {
    EXPECT_EQ(stream.add(int32_t(static_cast<unsigned char>(byte)), piece),
              nullptr);
    if (!piece.empty())
      out.push_back(piece);
    if (stream.stopped())
      break;
  }
  EXPECT_EQ(stream.finish(piece), nullptr);
  if (!piece.empty())
    out.push_back(piece);
  if (stopped)
    *stopped = stream.stopped();
  return out;
}

using Pieces = std::vector<std::string>;

TEST(TextStream, NeverCutsACharacter) {
  EXPECT_EQ(pieces("ab"), (Pieces{"a", "b"}));
  EXPECT_EQ(pieces("a\xC3\xA9z"), (Pieces{"a", "\xC3\xA9", "z"}));
  EXPECT_EQ(pieces("\xF0\x9F\x98\x80!"), (Pieces{"\xF0\x9F\x98\x80", "!"}));
  // What never becomes one is told at the end.
  EXPECT_EQ(pieces("a\xC3"), (Pieces{"a", "\xEF\xBF\xBD"}));
  EXPECT_EQ(pieces(""), Pieces());
}

TEST(TextStream, StopsAreNoPartOfTheText) {
  bool stopped = false;
  EXPECT_EQ(pieces("one END two", {"END"}, &stopped),
            (Pieces{"o", "n", "e", " "}));
  EXPECT_TRUE(stopped);
  // A begin that does not become a stop is told as soon as that is known.
  EXPECT_EQ(pieces("ENx", {"END"}, &stopped), (Pieces{"ENx"}));
  EXPECT_FALSE(stopped);
  EXPECT_EQ(pieces("EEND", {"END", "zzz"}, &stopped), (Pieces{"E"}));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(pieces("aEN", {"END"}, &stopped), (Pieces{"a", "EN"}));
  EXPECT_FALSE(stopped);
  // The first of two counts, and the empty one is none.
  EXPECT_EQ(pieces("abcd", {"", "cd", "bc"}), (Pieces{"a"}));
  EXPECT_EQ(pieces("\xC3\xA9x", {"\xC3\xA9x"}), Pieces());
}

TEST(TextStream, WhatMayChangeWaits) {
  auto decode = [](const std::vector<int32_t> &ids, bool isBegun,
                   std::string &text) {
    // A blank before a stop goes.
    text =
        ids.size() == 1 ? (isBegun ? "a" : "a ") : (isBegun ? "a.b" : "a.b ");
    return static_cast<vlm_status_t *>(nullptr);
  };
  for (size_t count : {1, 2}) {
    TextStream stream(decode, {"b "});
    std::string piece = "x", all;
    EXPECT_EQ(stream.add(1, piece), nullptr);
    EXPECT_EQ(piece, "a");
    all = piece;
    if (count == 2) {
      EXPECT_EQ(stream.add(2, piece), nullptr);
      EXPECT_EQ(piece, "."); // what is certain may begin a stop
      all += piece;
    }
    EXPECT_EQ(stream.finish(piece), nullptr);
    all += piece;
    EXPECT_EQ(stream.stopped(), count == 2);
    EXPECT_EQ(all, count == 1 ? "a " : "a.");
  }
}
