// Every string of the oracle's goldens, which transformers tokenised
// (test/oracle/README.md, "Words").
#include "frontend/support/Json.h"
#include "frontend/support/MappedFile.h"
#include "test/runtime/text/TextFixture.h"

using namespace vlmc;
using namespace vlmc::test;

namespace {

/// The tensors of a safetensors file that a script of this tree wrote.
class Goldens {
public:
  explicit Goldens(const std::string &path) : file(MappedFile::open(path)) {
    if (!file || file->size() < 8)
      return;
    uint64_t length;
    std::memcpy(&length, file->data(), 8);
    Result<Json> json = parseJson(file->text().substr(8, length), path);
    if (!json)
      return;
    header = std::move(*json);
    begin = 8 + length;
  }
  bool good() const { return begin != 0; }
  bool has(const std::string &name) const { return header.contains(name); }

  template <typename T> std::vector<T> get(const std::string &name) const {
    if (!header.contains(name)) {
      ADD_FAILURE() << "no tensor " << name;
      return {};
    }
    auto offsets = header[name]["data_offsets"].get<std::vector<uint64_t>>();
    std::vector<T> out((offsets[1] - offsets[0]) / sizeof(T));
    std::memcpy(out.data(), file->data() + begin + offsets[0],
                out.size() * sizeof(T));
    return out;
  }

  /// Row `row` of a tensor that holds rows of any length.
  template <typename T, typename Row>
  std::vector<Row> rows(const std::string &name) const {
    std::vector<T> flat = get<T>(name);
    std::vector<int32_t> offsets = get<int32_t>(name + "_offsets");
    std::vector<Row> out;
    for (size_t i = 0; i + 1 < offsets.size(); ++i)
      out.emplace_back(flat.begin() + offsets[i],
                       flat.begin() + offsets[i + 1]);
    return out;
  }

private:
  Result<MappedFile> file;
  Json header;
  size_t begin = 0;
};

} // namespace

namespace {
/// The goldens of a family and its tokenizers.
struct Family {
  const char *name;
  std::vector<std::string> tokenizers;
};
class Golden : public testing::TestWithParam<Family> {};
} // namespace

/// Text `i` of one tokenizer: ids with and without special tokens, cut and
/// padded, and the text that they decode to.
TEST_P(Golden, EveryTextHasTransformersIds) {
  const std::string folder = std::string(VLMC_SOURCE_DIR "/test/e2e/goldens/") +
                             GetParam().name + "/tokens/";
  Goldens goldens(folder + "golden.safetensors");
  ASSERT_TRUE(goldens.good())
      << "make the goldens with test/oracle/make_all.py";
  auto texts = goldens.rows<char, std::string>("texts");
  ASSERT_GE(texts.size(), 2000u);
  for (const std::string &name : GetParam().tokenizers) {
    Opened tokenizer(folder + name);
    ASSERT_EQ(tokenizer.status, nullptr)
        << vlm_status_message(tokenizer.status);
    using Rows = std::vector<std::vector<int32_t>>;
    Rows ids = goldens.rows<uint16_t, std::vector<int32_t>>(name + ".ids");
    Rows plain;
    if (goldens.has(name + ".ids_plain"))
      plain = goldens.rows<uint16_t, std::vector<int32_t>>(name + ".ids_plain");
    else // begin and end are the special tokens
      for (const std::vector<int32_t> &row : ids)
        plain.emplace_back(row.begin() + 1, row.end() - 1);
    bool own = goldens.has(name + ".decoded");
    auto decoded =
        goldens.rows<char, std::string>(own ? name + ".decoded" : "decoded");
    std::vector<uint16_t> cut = goldens.get<uint16_t>(name + ".ids_trunc9");
    ASSERT_EQ(ids.size(), texts.size());
    ASSERT_EQ(plain.size(), texts.size());
    ASSERT_EQ(decoded.size(), texts.size());
    ASSERT_EQ(cut.size(), texts.size() * 9);
    for (size_t i = 0; i < texts.size(); ++i) {
      std::string where =
          name + ", text " + std::to_string(i) + ": " + texts[i];
      ASSERT_EQ(tokenizer.encode(texts[i]), ids[i]) << where;
      ASSERT_EQ(tokenizer.encode(texts[i], false), plain[i]) << where;
      std::vector<int32_t> nine = tokenizer.encode(texts[i], true, 9);
      bool left = vlm_tokenizer_pads_left(tokenizer.tokenizer);
      nine.insert(left ? nine.begin() : nine.end(), 9 - nine.size(),
                  vlm_tokenizer_pad_id(tokenizer.tokenizer));
      ASSERT_EQ(nine, std::vector<int32_t>(cut.begin() + i * 9,
                                           cut.begin() + i * 9 + 9))
          << where;
      ASSERT_EQ(tokenizer.decode(ids[i]), decoded[i]) << where;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Golden,
    testing::Values(Family{"clip", {"trained", "bytes", "vocab-files"}},
                    Family{"pieces", {"scored-words", "scored-bpe"}},
                    Family{"siglip",
                           {"spiece-nmt", "spiece-bytes", "gemma", "siglip2"}}),
    [](const auto &info) { return std::string(info.param.name); });
