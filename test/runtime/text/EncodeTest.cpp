#include "test/runtime/text/TextFixture.h"

#include <thread>

using namespace vlmc::test;
using Ids = std::vector<int32_t>;

static constexpr int32_t bos = 30, eos = 31;

TEST(Encode, WordsAreNormalisedSplitAndMerged) {
  Folder folder = wordFolder("");
  Opened text(folder.path());
  ASSERT_EQ(text.status, nullptr) << vlm_status_message(text.status);
  EXPECT_EQ(text.encode("abc"), (Ids{bos, 9, eos}));
  EXPECT_EQ(text.encode("  ABC\t\nabc!12"), (Ids{bos, 9, 9, 4, 14, 15, eos}));
  // The decomposed letter is composed, then written as two bytes.
  EXPECT_EQ(text.encode("e\xCC\x81"), (Ids{bos, 13, eos}));
  EXPECT_EQ(text.encode(""), (Ids{bos, eos}));
  EXPECT_EQ(text.encode("ab", false), (Ids{1, 6}));
  // A byte without a token is the unknown token, which ends the text here.
  EXPECT_EQ(text.encode("q", false), (Ids{eos}));
}

TEST(Encode, TruncationKeepsTheSpecialTokens) {
  Folder folder = wordFolder("");
  Opened text(folder.path());
  bool truncated = false;
  EXPECT_EQ(text.encode("a b c", true, 4, &truncated), (Ids{bos, 5, 6, eos}));
  EXPECT_TRUE(truncated);
  EXPECT_EQ(text.encode("a b c", true, 5, &truncated),
            (Ids{bos, 5, 6, 7, eos}));
  EXPECT_FALSE(truncated);
  EXPECT_EQ(text.encode("a b c", true, 2, &truncated), (Ids{bos, eos}));
  EXPECT_EQ(text.encode("a b c", false, 2, &truncated), (Ids{5, 6}));
  vlm_ids_t ids;
  EXPECT_EQ(take(vlm_tokenizer_encode(text.tokenizer, "a", 1, 1, 1, &ids)),
            "max_tokens: expected 0 or at least 2, the special tokens of a "
            "text, found 1");
  Folder left =
      wordFolder(R"({"truncation_side": "left", "model_max_length": 7})");
  Opened fromLeft(left.path());
  EXPECT_EQ(fromLeft.encode("a b c", true, 4), (Ids{bos, 6, 7, eos}));
  EXPECT_EQ(vlm_tokenizer_max_tokens(fromLeft.tokenizer), 7u);
  EXPECT_EQ(vlm_tokenizer_max_tokens(text.tokenizer), 0u);
}

TEST(Encode, PadTokenOfItsOwnIsCutOut) {
  Folder folder = wordFolder(R"({"pad_token": "!"})");
  Opened text(folder.path());
  EXPECT_EQ(vlm_tokenizer_pad_id(text.tokenizer), 0);
  EXPECT_EQ(text.encode("abc!"), (Ids{bos, 9, 0, eos}));
  EXPECT_EQ(text.decode({bos, 9, 0, eos}), "abc");
}

TEST(Encode, AddedTokensObeyTheirFlags) {
  Folder folder = wordFolder(R"({"added_tokens_decoder": {
      "20": {"content": "<|startoftext|>", "normalized": false, "special": true},
      "21": {"content": "<|endoftext|>", "normalized": false, "special": true},
      "22": {"content": "<A>", "lstrip": true, "rstrip": true, "normalized": false},
      "23": {"content": "ca", "single_word": true, "normalized": false},
      "24": {"content": "<B>", "normalized": true}}})");
  Opened text(folder.path());
  // The next free ids count the vocabulary's 18 tokens.
  constexpr int32_t a = 18, word = 19, b = 20;
  EXPECT_EQ(text.encode("a <A>  b", false), (Ids{5, a, 6}));
  EXPECT_EQ(text.encode("ca", false), (Ids{word}));
  EXPECT_EQ(text.encode("b ca!", false), (Ids{6, word, 4}));
  EXPECT_EQ(text.encode("cac", false), (Ids{3, 1, 7}));
  EXPECT_EQ(text.encode("a<b>a<B>", false), (Ids{5, b, 5, b}));
  EXPECT_EQ(text.encode("<|endoftext|>", false), (Ids{eos}));
  // Decoded, a normalised token is what it was looked for as.
  EXPECT_EQ(text.decode({5, b, a}), "a <b><A>");
}

TEST(Encode, BrokenUtf8IsReplaced) {
  Folder folder;
  folder.write(
      "tokenizer.json",
      tokenizerJson(
          R"("unk_token": "?", "vocab": {"?": 0, "a": 1, "\ufffd": 2}, "merges": [])",
          ""));
  Opened text(folder.path());
  ASSERT_EQ(text.status, nullptr) << vlm_status_message(text.status);
  EXPECT_EQ(text.encode("a\xFF"), (Ids{1, 2}));
  EXPECT_EQ(text.encode("\xE2\x82"), (Ids{2})); // a beginning
  EXPECT_EQ(text.encode("\xE2\x82"
                        "a"),
            (Ids{2, 1}));
  EXPECT_EQ(text.encode("\xED\xA0\x80"), (Ids{2, 2, 2})); // a surrogate
  EXPECT_EQ(text.encode("\xC0\xAF"), (Ids{2, 2}));        // overlong
  EXPECT_EQ(text.encode("\xF4\x90\x80\x80"),
            (Ids{2, 2, 2, 2})); // above U+10FFFF
  EXPECT_EQ(text.encode(std::string("\0", 1)), (Ids{0}));
}

TEST(Encode, LongWordsStayFast) {
  Folder folder = wordFolder("");
  Opened text(folder.path());
  std::string word;
  for (int i = 0; i < 300000; ++i)
    word += "ab";
  Ids ids = text.encode(word, false);
  ASSERT_EQ(ids.size(), 300001u);
  EXPECT_EQ(ids.front(), 8);
  EXPECT_EQ(ids.back(), 6);
  std::string marks = "a";
  for (int i = 0; i < 200000; ++i)
    marks += i % 2 ? "\xCC\x81" : "\xCC\xA3";
  EXPECT_GT(text.encode(marks, false).size(), 200000u);
}

TEST(Encode, IsThreadSafe) {
  Folder folder = wordFolder("");
  Opened text(folder.path());
  Ids want = text.encode("abc ab b!c 12");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i)
        wrong[t] += text.encode("abc ab b!c 12") != want;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(Encode, UnknownCharactersAndBytes) {
  const std::string vocab =
      R"("vocab": {"?": 0, "a": 1, "b": 2, "<0xC3>": 3, "<0xA9>": 4}, "merges": [])";
  Folder plain, fused, fallback, dropped;
  plain.write("tokenizer.json",
              tokenizerJson(R"("unk_token": "?", )" + vocab, ""));
  fused.write(
      "tokenizer.json",
      tokenizerJson(R"("unk_token": "?", "fuse_unk": true, )" + vocab, ""));
  fallback.write(
      "tokenizer.json",
      tokenizerJson(R"("unk_token": "?", "byte_fallback": true, )" + vocab,
                    ""));
  dropped.write("tokenizer.json", tokenizerJson(vocab, ""));
  EXPECT_EQ(Opened(plain.path()).encode("axya"), (Ids{1, 0, 0, 1}));
  EXPECT_EQ(Opened(fused.path()).encode("axya"), (Ids{1, 0, 1}));
  // As in `tokenizers`, bytes overtake an unknown token that is waiting.
  EXPECT_EQ(Opened(fallback.path())
                .encode("ax\xC3\xA9"
                        "a"),
            (Ids{1, 3, 4, 0, 1}));
  EXPECT_EQ(Opened(dropped.path()).encode("axya"), (Ids{1, 1}));
}

TEST(Encode, RefusesMissingArguments) {
  vlm_ids_t ids;
  EXPECT_EQ(take(vlm_tokenizer_encode(nullptr, "a", 1, 1, 0, &ids)),
            "tokenizer: expected an address, found NULL");
  vlm_tokenizer_destroy(nullptr);
  vlm_ids_destroy(nullptr);
  vlm_string_destroy(nullptr);
}

TEST(Decode, TurnsTokensIntoText) {
  Folder folder = wordFolder("");
  Opened text(folder.path());
  EXPECT_EQ(text.decode({bos, 9, 4, 13, eos}), "abc ! \xC3\xA9");
  EXPECT_EQ(text.decode({bos, 9, eos}, false),
            "<|startoftext|>abc <|endoftext|>");
  // Half a character is U+FFFD; ids of holes are nothing.
  EXPECT_EQ(text.decode({11, 17, 5}), "\xEF\xBF\xBD"
                                      "a");
  EXPECT_EQ(text.decode({}), "");
  char *out;
  size_t bytes;
  int32_t id = 32;
  EXPECT_EQ(take(vlm_tokenizer_decode(text.tokenizer, &id, 1, 1, &out, &bytes)),
            "ids[0]: expected 0 to 31, found 32");
  id = -1;
  EXPECT_EQ(take(vlm_tokenizer_decode(text.tokenizer, &id, 1, 1, &out, &bytes)),
            "ids[0]: expected 0 to 31, found -1");
}

/// Bytes in base 64.
static std::string toBase64(const std::string &bytes) {
  static const char *const digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 |
             (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k)
      text += i + k > bytes.size() ? '=' : digits[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

/// What SentencePiece compiles of the rules A: a, e: E, e U+0301: U+00E9,
/// U+FB01: fi, U+00AD: nothing.
static std::string smallCharsmap() {
  std::vector<uint32_t> trie(256);
  for (auto [at, unit] :
       std::initializer_list<std::pair<size_t, uint32_t>>{{0, 0x10000},
                                                          {1, 0xD41},
                                                          {2, 0x80000003},
                                                          {3, 0x80000001},
                                                          {4, 0x581},
                                                          {5, 0x80000008},
                                                          {6, 0x5AD},
                                                          {7, 0x80000000},
                                                          {8, 0x200AC},
                                                          {9, 0xD81},
                                                          {10, 0x80000005},
                                                          {37, 0x9965},
                                                          {130, 0xA4C2},
                                                          {175, 0x2CEF},
                                                          {207, 0x128CC}})
    trie[at] = unit;
  auto size = static_cast<uint32_t>(4 * trie.size());
  std::string bytes(reinterpret_cast<const char *>(&size), 4);
  bytes.append(reinterpret_cast<const char *>(trie.data()), size);
  return bytes + std::string("\0E\0a\0fi\0\xC3\xA9\0", 11);
}

/// The expected results are those of `tokenizers`.
TEST(Encode, CharsmapsReplaceShortGraphemesAsAWhole) {
  Folder folder;
  std::string stage = R"({"type": "Precompiled", "precompiled_charsmap": ")" +
                      toBase64(smallCharsmap()) + R"("})";
  folder.write(
      "tokenizer.json",
      R"({"version": "1.0", "normalizer": )" + stage +
          R"(, "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", -9], ["a", -1], ["b", -1], ["E", -1],
                      ["f", -1], ["i", -1], ["\u0301", -1], ["\r", -1], ["\n", -1], ["\u00e9", -1], ["e", -1]]}})");
  Opened text(folder.path());
  ASSERT_EQ(text.status, nullptr) << vlm_status_message(text.status);
  EXPECT_EQ(text.encode("Ae"), (Ids{1, 3}));
  // The shortest beginning counts, and what follows is lost.
  EXPECT_EQ(text.encode("e\xCC\x81"), (Ids{3}));
  EXPECT_EQ(text.encode("A\xCC\x81"), (Ids{1}));
  EXPECT_EQ(text.encode("\xEF\xAC\x81\xCC\x81"
                        "b"),
            (Ids{4, 5, 2}));
  // Six bytes and more are replaced one by one.
  EXPECT_EQ(text.encode("A\xCC\x81\xCC\x81\xCC\x81"), (Ids{1, 6, 6, 6}));
  EXPECT_EQ(text.encode("a\xC2\xAD"
                        "b"),
            (Ids{1, 2}));
  EXPECT_EQ(text.encode("\xC2\xAD"), (Ids{}));
  EXPECT_EQ(text.encode("A\r\n"), (Ids{1, 7, 8}));
  EXPECT_EQ(text.encode(std::string("A\0A", 3)), (Ids{1, 0, 1}));
}
