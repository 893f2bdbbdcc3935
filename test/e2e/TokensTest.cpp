//===- TokensTest.cpp - Every string of the goldens, tokenised ------------===//
//
// `goldens/FAMILY/tokens`: ids with and without special tokens, cut and padded,
// and the decoded text, exactly as transformers has them.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "test/e2e/Checkpoints.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace vlmc;
using namespace vlmc::e2e;

/// The rows that a golden packs into `NAME` and `NAME_offsets`.
template <class T>
static std::vector<std::vector<T>> rowsOf(const Tensors &golden,
                                          const std::string &name) {
  std::vector<T> flat = golden.values<T>(name);
  std::vector<int32_t> offsets = golden.values<int32_t>(name + "_offsets");
  std::vector<std::vector<T>> rows;
  for (size_t i = 0; i + 1 < offsets.size(); ++i)
    rows.emplace_back(flat.begin() + offsets[i], flat.begin() + offsets[i + 1]);
  return rows;
}

static std::vector<std::string> textsOf(const Tensors &golden,
                                        const std::string &name) {
  std::vector<std::string> texts;
  for (const std::vector<uint8_t> &row : rowsOf<uint8_t>(golden, name))
    texts.emplace_back(row.begin(), row.end());
  return texts;
}

static std::vector<int64_t> widen(std::span<const uint16_t> ids) {
  return {ids.begin(), ids.end()};
}

namespace {
/// One vocabulary's goldens, and what vlmc made of the same texts.
struct Tokenized {
  Tokenized(const Tensors &golden, const Tensors &out, std::string name)
      : out(out), name(std::move(name)), texts(textsOf(golden, "texts")),
        ids(rowsOf<uint16_t>(golden, this->name + ".ids")),
        cut(golden.values<uint16_t>(this->name + ".ids_trunc9")) {
    // What depends on the vocabulary stands there once for each.
    std::string own = this->name + ".decoded";
    bool isOwn = golden.find(own + "_offsets");
    decoded = textsOf(golden, isOwn ? own : "decoded");
    own = this->name + ".ids_plain";
    if (golden.find(own + "_offsets"))
      plain = rowsOf<uint16_t>(golden, own);
    else // begin and end are the special tokens
      for (const std::vector<uint16_t> &row : ids)
        plain.emplace_back(row.begin() + 1, row.end() - 1);
  }

  bool isComplete() const {
    return !texts.empty() && decoded.size() == texts.size() &&
           ids.size() == texts.size() && plain.size() == texts.size() &&
           cut.size() == 9 * texts.size();
  }
  std::vector<int64_t> got(const std::string &value, size_t text) const {
    return out.values<int64_t>(name + "." + value + "." + std::to_string(text));
  }
  void expectText(size_t i) const;

  const Tensors &out;
  std::string name;
  std::vector<std::string> texts, decoded;
  std::vector<std::vector<uint16_t>> ids, plain;
  std::vector<uint16_t> cut;
};
} // namespace

void Tokenized::expectText(size_t i) const {
  EXPECT_EQ(got("ids", i), widen(ids[i]));
  EXPECT_EQ(got("ids_plain", i), widen(plain[i]));
  EXPECT_EQ(got("ids_trunc9", i), widen(std::span(cut).subspan(9 * i, 9)));
  std::vector<char> bytes =
      out.values<char>(name + ".text." + std::to_string(i));
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), decoded[i]);
}

/// Tokenises the texts of a family and compares with its goldens.
static void checkTokens(const std::string &folder) {
  Result<Json> requests = readJsonFile(folder + "/requests.json");
  ASSERT_TRUE(requests) << requests.message();
  Tensors golden(folder + "/golden.safetensors");
  Tensors out = runRequests(folder, folder + "/requests.json");
  ASSERT_FALSE((*requests)["cases"].empty());
  for (const Json &request : (*requests)["cases"]) {
    Tokenized tokenized(golden, out, request["name"].get<std::string>());
    SCOPED_TRACE(tokenized.name);
    ASSERT_TRUE(tokenized.isComplete());
    ASSERT_EQ(request["texts"].get<std::vector<std::string>>(),
              tokenized.texts);
    for (size_t i = 0;
         i < tokenized.texts.size() && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("text " + std::to_string(i) + ": " + tokenized.texts[i]);
      tokenized.expectText(i);
    }
  }
}

TEST(TokensTest, EqualTransformers) {
  size_t families = 0;
  for (const std::string &family : findFamilies()) {
    std::string folder = family + "/tokens";
    // Without requests, the tokenizer is compared alone (test/runtime/text).
    if (!std::filesystem::exists(folder + "/requests.json"))
      continue;
    SCOPED_TRACE(folder);
    checkTokens(folder);
    ++families;
  }
  EXPECT_GT(families, 0U);
}
