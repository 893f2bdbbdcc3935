// Text of tokens that come one by one: what is told of some is the beginning of
// what is told of more, and of the text of all. Random tokens of all tokenizers
// of the oracle's goldens, and each way to decode by itself.
#include "test/runtime/text/TextFixture.h"

#include <map>
#include <random>
#include <set>

using namespace vlmc;
using namespace vlmc::test;
namespace fs = std::filesystem;

using Ids = std::vector<int32_t>;

static std::string begun(const Opened &tokenizer, const Ids &ids, bool skip) {
  char *text = nullptr;
  size_t count = 0;
  EXPECT_EQ(take(vlm_tokenizer_decode_begun(tokenizer.tokenizer, ids.data(),
                                            ids.size(), skip, &text, &count)),
            "");
  std::string out(text, count);
  vlm_string_destroy(text);
  return out;
}

namespace {
/// Ids by what their text is like, so that sequences hold many of the rare
/// kinds: bytes, blanks and marks, others.
class Kinds {
public:
  explicit Kinds(const Opened &tokenizer) {
    const auto count = int32_t(vlm_tokenizer_id_count(tokenizer.tokenizer));
    for (int32_t id = 0; id < count; ++id) {
      std::string text = tokenizer.decode({id}, /*skip=*/false);
      bool isMark =
          text.size() <= 2 && text.find_first_of(" .,?!'\n") != text.npos;
      bool isBroken = text.find("\xEF\xBF\xBD") != text.npos || text.empty();
      bool isSpecial = !text.empty() && tokenizer.decode({id}).empty();
      lists[isSpecial ? 0 : isBroken ? 1 : isMark ? 2 : 3].push_back(id);
    }
  }
  /// Of one kind for a while, for runs of bytes and of blanks.
  Ids sequence(std::mt19937 &random, size_t count) const {
    Ids ids;
    while (ids.size() < count) {
      const Ids &list = lists[random() % 4];
      for (size_t n = random() % 5; n-- > 0 && !list.empty();)
        ids.push_back(list[random() % list.size()]);
    }
    return ids;
  }

private:
  Ids lists[4];
};
} // namespace

/// Tells a sequence token by token; how many bytes waited for the last.
static size_t expectPieces(const Opened &tokenizer, const Ids &ids, bool skip,
                           const std::string &where) {
  const std::string whole = tokenizer.decode(ids, skip);
  std::string told;
  for (size_t count = 0; count <= ids.size(); ++count) {
    Ids some(ids.begin(), ids.begin() + ptrdiff_t(count));
    std::string text = begun(tokenizer, some, skip);
    EXPECT_TRUE(text.starts_with(told))
        << where << ", " << count << " tokens: '" << text << "' behind '"
        << told << "'";
    told = text;
    if (testing::Test::HasFailure())
      break;
  }
  EXPECT_TRUE(whole.starts_with(told))
      << where << ": '" << whole << "' behind '" << told << "'";
  return whole.size() - told.size();
}

/// Folders with a tokenizer below the goldens, one of each content.
static std::vector<std::string> folders() {
  std::map<std::string, std::string> byContent;
  for (const auto &entry :
       fs::recursive_directory_iterator(VLMC_SOURCE_DIR "/test/e2e/goldens")) {
    static const std::set<std::string> names = {
        "tokenizer.json", "spiece.model", "tokenizer.model", "vocab.txt",
        "vocab.json"};
    if (!names.contains(entry.path().filename().string()))
      continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::string content(std::istreambuf_iterator<char>(file), {});
    byContent.emplace(content, entry.path().parent_path().string());
  }
  std::set<std::string> found;
  for (const auto &[content, path] : byContent)
    found.insert(path);
  return {found.begin(), found.end()};
}

TEST(DecodeBegun, PiecesAreTheTextOfAllTokens) {
  std::mt19937 random(7);
  size_t opened = 0;
  for (const std::string &folder : folders()) {
    Result<TokenizerTables> tables = readTokenizer(folder);
    if (!tables) // of a folder that needs another file
      continue;
    ++opened;
    Opened tokenizer(tables->blob);
    ASSERT_EQ(tokenizer.status, nullptr) << folder;
    Kinds kinds(tokenizer);
    for (int i = 0; i < 200; ++i) {
      Ids ids = kinds.sequence(random, 1 + random() % 30);
      std::string where = folder + ", sequence " + std::to_string(i);
      expectPieces(tokenizer, ids, /*skip=*/i % 4 != 0, where);
      if (HasFailure())
        return;
    }
    // Plain words wait for nothing but a blank.
    Ids words = tokenizer.encode("two cats on a sofa", false);
    EXPECT_LE(expectPieces(tokenizer, words, true, folder), 1U) << folder;
  }
  EXPECT_GE(opened, 12U);
}

//===----------------------------------------------------------------------===//
// One way at a time
//===----------------------------------------------------------------------===//

/// Some words, bytes, marks and a special token under a decoder.
static Folder decoderFolder(const std::string &decoder) {
  Folder folder;
  folder.write(
      "tokenizer.json",
      tokenizerJson(
          R"("byte_fallback": true, "unk_token": "?", "vocab": {
    "?": 0, "a": 1, "▁b": 2, "▁": 3, " ": 4, ".": 5, "'": 6, "s": 7,
    "##c": 8, "<0xE2>": 9, "<0x82>": 10, "<0xAC>": 11, "<0x41>": 12,
    "<0xFF>": 13, "é": 14, "n": 15, "'t": 16, " do": 17, " not": 18,
    "<0x4": 19, "2>": 20, "#": 21, "\n": 22, "Ã": 23, "<0x20>": 24,
    "xx": 25, "x": 26, "</s>": 27}, "merges": [])",
          R"("added_tokens": [{"id": 27, "content": "</s>", "special": true,
        "normalized": false, "single_word": false, "lstrip": false,
        "rstrip": false}], "decoder": )" +
              decoder));
  return folder;
}

static std::string sequenceOf(std::initializer_list<std::string> steps) {
  std::string list;
  for (const std::string &step : steps)
    list.append(list.empty() ? "" : ", ").append(step);
  return R"({"type": "Sequence", "decoders": [)" + list + "]}";
}

static const std::string kReplace =
    R"({"type": "Replace", "pattern": {"String": "▁"}, "content": " "})";
static const std::string kBytes = R"({"type": "ByteFallback"})";
static const std::string kFuse = R"({"type": "Fuse"})";

static std::string replace(const std::string &pattern,
                           const std::string &content) {
  return R"({"type": "Replace", "pattern": {"String": ")" + pattern +
         R"("}, "content": ")" + content + R"("})";
}
static std::string stripOf(int atBegin, int atEnd) {
  return R"({"type": "Strip", "content": " ", "start": )" +
         std::to_string(atBegin) + R"(, "stop": )" + std::to_string(atEnd) +
         "}";
}

TEST(DecodeBegun, EveryDecoderHoldsBackWhatMayChange) {
  const std::string decoders[] = {
      R"({"type": "ByteLevel"})",
      kFuse,
      sequenceOf({kReplace, kBytes, kFuse, stripOf(1, 0)}),
      sequenceOf({kReplace, kBytes, kFuse, stripOf(2, 2)}),
      sequenceOf({kBytes, kFuse, replace("x a", "y"), replace("ya", "z")}),
      sequenceOf({kFuse, replace("xx", "<0x41>"), kBytes, kFuse}),
      sequenceOf({kFuse, replace("xxx", "é"), R"({"type": "ByteLevel"})"}),
      R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})",
      R"({"type": "WordPiece", "prefix": "##", "cleanup": true})",
      sequenceOf({R"({"type": "WordPiece", "prefix": "##", "cleanup": false})",
                  kFuse, replace(" .", ".")}),
  };
  std::mt19937 random(3);
  for (const std::string &decoder : decoders) {
    Folder folder = decoderFolder(decoder);
    Result<TokenizerTables> tables = readTokenizer(folder.path());
    ASSERT_TRUE(tables) << tables.message();
    Opened tokenizer(tables->blob);
    ASSERT_EQ(tokenizer.status, nullptr) << decoder;
    for (int i = 0; i < 2000; ++i) {
      Ids ids(1 + random() % 9);
      for (int32_t &id : ids)
        id = int32_t(random() % 28);
      expectPieces(tokenizer, ids, i % 2 != 0, decoder);
      if (HasFailure())
        return;
    }
  }
}

TEST(DecodeBegun, TellsWhatIsCertain) {
  Folder folder =
      decoderFolder(sequenceOf({kReplace, kBytes, kFuse, stripOf(1, 0)}));
  Opened tokenizer(folder.path());
  auto text = [&](const Ids &ids) { return begun(tokenizer, ids, true); };
  EXPECT_EQ(text({}), "");
  EXPECT_EQ(text({3, 1}), "a");
  EXPECT_EQ(text({1, 3}), "a ");
  // A run of bytes is text or not as a whole, whatever special token is in it.
  EXPECT_EQ(text({1, 12, 9, 10}), "a");
  EXPECT_EQ(text({1, 12, 9, 10, 27}), "a");
  EXPECT_EQ(text({1, 12, 9, 27, 10, 11, 1}), "aA\xE2\x82\xAC"
                                             "a");
  EXPECT_EQ(text({1, 12, 13, 1}), "a\xEF\xBF\xBD\xEF\xBF\xBD"
                                  "a");
}
