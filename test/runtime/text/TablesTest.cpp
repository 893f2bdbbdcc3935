#include "runtime/abi/vlm_text_abi.h"
#include "test/runtime/text/TextFixture.h"

#include <random>

using namespace vlmc;
using namespace vlmc::test;

static std::vector<uint8_t> goodTables() {
  Folder folder =
      wordFolder(R"({"pad_token": "!", "additional_special_tokens": ["<x>"]})");
  Result<TokenizerTables> tables = readTokenizer(folder.path());
  EXPECT_TRUE(tables);
  return tables->blob;
}

template <typename Change> static std::string openChanged(Change change) {
  std::vector<uint8_t> blob = goodTables();
  auto *header = reinterpret_cast<vlm_text_header *>(blob.data());
  change(*header, blob);
  Opened opened(blob);
  return vlm_status_message(opened.status);
}

static std::string corrupt(const std::string &what) {
  return "tokenizer tables: " + what + "; compile the model again";
}

TEST(Tables, AreTheSameEachTime) {
  std::vector<uint8_t> blob = goodTables();
  EXPECT_EQ(blob, goodTables());
  EXPECT_EQ(blob.size() % VLM_TEXT_ALIGNMENT, 0u);
  EXPECT_EQ(openChanged([](auto &, auto &) {}), "");
}

TEST(Tables, DamageIsTold) {
  using Header = vlm_text_header;
  using Blob = std::vector<uint8_t>;
  EXPECT_EQ(openChanged([](Header &, Blob &blob) { blob.resize(100); }),
            corrupt("expected at least 448 bytes, found 100"));
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.magic[0] = 'X'; }),
            corrupt("expected 'VLMTEXT' at their beginning"));
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.version = 9; }),
            "tokenizer tables: expected version 6, found 9; compile the model "
            "again with this version of vlmc");
  std::string size = std::to_string(goodTables().size()),
              cut = std::to_string(goodTables().size() - 64);
  EXPECT_EQ(
      openChanged([](Header &, Blob &blob) { blob.resize(blob.size() - 64); }),
      corrupt("expected " + size + " bytes as they say, found " + cut));
  std::string outside = corrupt("a section lies outside of them");
  EXPECT_EQ(openChanged(
                [](Header &h, Blob &) { h.merges.count = uint64_t(1) << 62; }),
            outside);
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.tokens.offset += 4; }),
            outside);
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.token_slots.count -= 1; }),
            corrupt("expected a power of two of hash slots"));
  std::string badId = corrupt("an id lies outside of the vocabulary");
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.pad_id = 1000; }), badId);
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.strings.count = 8; }),
            corrupt("a token's text lies outside of them"));
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.chat_template.bytes = ~0U; }),
            corrupt("a text lies outside of them"));
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.roles.count = 1ULL << 60; }),
            outside);
  EXPECT_EQ(openChanged([](Header &h, Blob &blob) {
              reinterpret_cast<vlm_text_role *>(blob.data() + h.roles.offset)
                  ->content.bytes = ~0U;
            }),
            corrupt("the name of a role lies outside of them"));
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.truncation_side = 2; }),
            corrupt("unknown side"));
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.model = 7; }),
            "tokenizer tables: unknown model 7");
  EXPECT_EQ(openChanged([](Header &h, Blob &) { h.decoders.count = 0; }),
            "tokenizer tables: expected a decoder");
  auto stage = [](Header &h, Blob &blob) {
    return reinterpret_cast<vlm_text_stage *>(blob.data() +
                                              h.normalizers.offset);
  };
  EXPECT_EQ(
      openChanged([&](Header &h, Blob &blob) { stage(h, blob)->kind = 99; }),
      "tokenizer tables: unknown normalizer 99");
}

TEST(Tables, AddressMustBeAligned) {
  std::vector<uint8_t> blob = goodTables();
  blob.insert(blob.begin(), 8, 0);
  vlm_tokenizer_t *tokenizer = nullptr;
  EXPECT_EQ(
      take(vlm_tokenizer_create(blob.data() + 4, blob.size() - 8, &tokenizer)),
      "tokenizer tables: expected an address that is a multiple of 8");
}

static void damage(const std::vector<uint8_t> &good, int rounds) {
  std::mt19937 random(7);
  for (int round = 0; round < rounds; ++round) {
    std::vector<uint8_t> blob = good;
    for (int i = 0; i < 1 + round % 6; ++i) {
      size_t limit = round % 2 ? sizeof(vlm_text_header) : blob.size();
      blob[random() % limit] =
          static_cast<uint8_t>(random() % 3 ? random() : 0xFF);
    }
    Opened opened(blob);
    if (opened.status)
      continue;
    opened.encode("abc <x> AB ! \xC3\xA9 12 <|endoftext|>", false);
    vlm_ids_t ids = {};
    vlm_status_destroy(
        vlm_tokenizer_encode(opened.tokenizer, "a b", 3, 1, 9, &ids));
    char *text = nullptr;
    size_t bytes = 0;
    vlm_status_destroy(vlm_tokenizer_decode(opened.tokenizer, ids.ids,
                                            ids.count, 1, &text, &bytes));
    vlm_string_destroy(text);
    vlm_ids_destroy(&ids);
  }
}

TEST(Tables, RandomDamageNeverCrashes) {
  damage(goodTables(), 3000);
  const std::string goldens =
      VLMC_SOURCE_DIR "/test/e2e/goldens/siglip/tokens/";
  for (const char *name : {"spiece-bytes", "gemma"}) {
    Result<TokenizerTables> tables = readTokenizer(goldens + name);
    ASSERT_TRUE(tables) << tables.message();
    damage(tables->blob, 1500);
  }
}

TEST(Tables, UnigramModelsNeedScores) {
  Result<TokenizerTables> tables = readTokenizer(
      VLMC_SOURCE_DIR "/test/e2e/goldens/siglip/tokens/spiece-bytes");
  ASSERT_TRUE(tables) << tables.message();
  auto changed = [&](auto change) {
    std::vector<uint8_t> blob = tables->blob;
    change(*reinterpret_cast<vlm_text_header *>(blob.data()), blob);
    Opened opened(blob);
    std::string message = vlm_status_message(opened.status);
    return message.substr(0, message.find(';'));
  };
  using Header = vlm_text_header;
  using Blob = std::vector<uint8_t>;
  EXPECT_EQ(changed([](Header &h, Blob &) { --h.scores.count; }),
            "tokenizer tables: expected a score for each id");
  EXPECT_EQ(changed([](Header &h, Blob &blob) {
              blob[h.charsmap_text.offset + h.charsmap_text.count - 1] = 'x';
            }),
            "tokenizer tables: expected a zero at the end of the characters' "
            "map");
  EXPECT_EQ(changed([](Header &h, Blob &blob) {
              *reinterpret_cast<uint32_t *>(blob.data() + h.fixed.offset) =
                  1 << 20;
            }),
            "tokenizer tables: an id lies outside of the vocabulary");
}
