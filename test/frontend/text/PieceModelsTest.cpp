// Tokenizers that are a SentencePiece file alone: what the files settle, and
// what is wrong with them. Ids of many texts: test/runtime/text/GoldenTest.cpp.
#include "test/runtime/text/TextFixture.h"

using namespace vlmc;
using namespace vlmc::test;
using Ids = std::vector<int32_t>;

namespace {

/// A field of a protobuf message: a string, a number, or a float.
std::string field(int number, const std::string &bytes) {
  return std::string({char(number << 3 | 2), char(bytes.size())}) + bytes;
}
std::string field(int number, int value) {
  return {char(number << 3), char(value)};
}
std::string field(int number, float value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return char(number << 3 | 5) + bytes;
}

enum { Normal = 1, Unknown = 2, Control = 3, User = 4, Unused = 5 };
std::string piece(const std::string &text, int kind, float score = 0) {
  return field(1, field(1, text) + field(2, score) + field(3, kind));
}

const std::string kBlank = "\xE2\x96\x81";

/// Scores, not ids, say what is merged first.
std::string pairs(const std::string &normalizer = field(4, 0)) {
  return piece("<unk>", Unknown) + piece("<s>", Control) +
         piece("</s>", Control) + piece(kBlank, Normal, -9) +
         piece("a", Normal, -8) + piece("b", Normal, -7) +
         piece("bc", Normal, -2) + piece("ab", Normal, -3) +
         piece("c", Normal, -6) + piece("ca", Unused, -1) + piece("<u>", User) +
         field(2, field(3, 2)) + field(3, normalizer);
}
std::string words() {
  return piece("<pad>", Control) + piece("</s>", Control) +
         piece("<unk>", Unknown) + piece(kBlank + "a", Normal, -1) +
         piece(kBlank, Normal, -2) + piece("b", Normal, -3) +
         piece("<u>", User);
}

Folder folderOf(const std::string &name, const std::string &model,
                const std::string &config) {
  Folder folder;
  folder.write(name, model);
  folder.write("tokenizer_config.json", config);
  return folder;
}
Folder pairFolder(const std::string &model, const std::string &more = "") {
  return folderOf("tokenizer.model", model,
                  R"({"tokenizer_class": "InternLM2Tokenizer")" + more + "}");
}
Folder wordFolderOf(const std::string &model, const std::string &more = "") {
  return folderOf("spiece.model", model,
                  R"({"tokenizer_class": "T5Tokenizer")" + more + "}");
}

/// Why a folder is refused, "" if it is not; the folder is written DIR.
std::string messageOf(const Folder &folder) {
  Result<TokenizerTables> tables = readTokenizer(folder.path());
  std::string message = tables ? "" : tables.message();
  if (size_t at = message.find(folder.path()); at != message.npos)
    message.replace(at, folder.path().size(), "DIR");
  return message;
}

} // namespace

TEST(PieceModels, PairsMergeByTheirScores) {
  Folder folder = pairFolder(pairs());
  Opened text(folder.path());
  ASSERT_EQ(text.status, nullptr) << vlm_status_message(text.status);
  // "bc" before "ab"; no token is made of what is unused; each text between
  // tokens begins with a blank.
  EXPECT_EQ(text.encode("abc ca"), (Ids{1, 3, 4, 6, 3, 8, 4}));
  EXPECT_EQ(text.encode("ab", false), (Ids{3, 7}));
  EXPECT_EQ(text.encode("a<u>b</s>", false), (Ids{3, 4, 10, 3, 5, 2}));
  EXPECT_EQ(text.encode(""), (Ids{1}));
  EXPECT_EQ(text.encode("x", false), (Ids{3, 0}));
  EXPECT_EQ(text.decode({1, 3, 4, 3, 7, 3, 2}), "a ab ");
  EXPECT_EQ(text.decode({3, 3, 4}), " a");
  EXPECT_EQ(vlm_tokenizer_pad_id(text.tokenizer), 2);
  // Without its own prefix no blank comes or goes.
  Folder bare =
      pairFolder(pairs(field(3, 0) + field(4, 0)),
                 R"(, "add_bos_token": false, "add_eos_token": true)");
  Opened plain(bare.path());
  EXPECT_EQ(plain.encode("ab c"), (Ids{7, 3, 8, 2}));
  EXPECT_EQ(plain.decode({3, 4}), " a");
}

TEST(PieceModels, WordsHaveGapsBehindThem) {
  Folder folder = wordFolderOf(words(), R"(, "extra_ids": 2)");
  Opened text(folder.path());
  ASSERT_EQ(text.status, nullptr) << vlm_status_message(text.status);
  EXPECT_EQ(text.encode("a  ab"), (Ids{3, 3, 5, 1}));
  EXPECT_EQ(text.encode("a<extra_id_0> <extra_id_1>b<u>", false),
            (Ids{3, 8, 7, 4, 5, 6}));
  EXPECT_EQ(text.decode({3, 8, 3, 1}), "a a");
  EXPECT_EQ(vlm_tokenizer_pad_id(text.tokenizer), 0);
  // A list of the configuration takes the place of all of them.
  Folder listed = wordFolderOf(
      words(), R"(, "additional_special_tokens": ["<extra_id_1>"])");
  Opened own(listed.path());
  EXPECT_EQ(own.encode("<extra_id_1>", false), (Ids{105}));
  EXPECT_NE(own.encode("<u>", false), (Ids{6}));
  EXPECT_EQ(vlm_tokenizer_id_count(own.tokenizer), 107U);
}

TEST(PieceModels, FaultyFiles) {
  const std::string file = "DIR/tokenizer.model: ";
  const std::string mend = "; save the tokenizer with transformers, which "
                           "writes tokenizer.json";
  EXPECT_EQ(messageOf(pairFolder(pairs())), "");
  EXPECT_EQ(messageOf(pairFolder(pairs(""))),
            file + "remove_extra_whitespaces: expected false, found another" +
                mend);
  EXPECT_EQ(messageOf(pairFolder(pairs(field(4, 0) + field(5, 0)))),
            file + "escape_whitespaces: expected true, found another" + mend);
  EXPECT_EQ(messageOf(pairFolder(pairs(field(4, 0) + field(2, "12345678")))),
            file + "precompiled_charsmap: expected none, found another" + mend);
  EXPECT_EQ(messageOf(pairFolder(words())),
            file + "model_type: expected BPE, found UNIGRAM; a copy of the "
                   "folder without its tokenizer compiles to a model that "
                   "takes token ids");
  EXPECT_EQ(messageOf(pairFolder(pairs() + piece("a", Normal))),
            file + "piece 11: expected a text of its own, found 'a' a second "
                   "time; fetch the file again");
  EXPECT_EQ(messageOf(wordFolderOf(piece("<unk>", Unknown))),
            "DIR/spiece.model: expected at least 3 pieces, of which number 2 "
            "stands for unknown characters, found 1; fetch the file again");
  Folder none;
  none.write("tokenizer_config.json",
             R"({"tokenizer_class": "InternLM2Tokenizer"})");
  EXPECT_EQ(messageOf(none),
            "DIR/tokenizer.model: expected this file, since there is no "
            "tokenizer.json, found none; complete the folder");
}

/// What was made of the file comes before it.
TEST(PieceModels, TokenizerJsonComesFirst) {
  Folder folder = wordFolderOf(words());
  folder.write("tokenizer.json",
               R"({"model": {"type": "Unigram", "unk_id": 0,
                   "vocab": [["?", 0], ["a", -1]]}})");
  EXPECT_EQ(Opened(folder.path()).encode("a"), (Ids{1}));
}
