//===- TextFixture.h - Small tokenizers for tests -------------------------===//
//
// Folders with tokenizer files written by a test, and the tokenizer that comes
// of them through the tables.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_RUNTIME_TEXT_TEXTFIXTURE_H
#define VLMC_TEST_RUNTIME_TEXT_TEXTFIXTURE_H

#include "frontend/text/TokenizerTables.h"
#include "runtime/vlm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

namespace vlmc::test {

/// A folder of its own, removed at the end.
class Folder {
public:
  Folder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "vlmc-text-XXXXXX").string();
    where = mkdtemp(pattern.data());
  }
  Folder(Folder &&other) noexcept : where(std::exchange(other.where, "")) {}
  ~Folder() {
    std::error_code ignored;
    if (!where.empty())
      std::filesystem::remove_all(where, ignored);
  }
  Folder &write(const std::string &name, const std::string &text) {
    std::ofstream(where / name, std::ios::binary) << text;
    return *this;
  }
  std::string path() const { return where.string(); }

private:
  std::filesystem::path where;
};

/// The text of a status, which is destroyed.
inline std::string take(vlm_status_t *status) {
  std::string message = vlm_status_message(status);
  vlm_status_destroy(status);
  return message;
}

/// Tables at an aligned address, and the tokenizer over them.
class Opened {
public:
  explicit Opened(const std::vector<uint8_t> &blob)
      : memory(static_cast<uint8_t *>(
                   std::aligned_alloc(64, (blob.size() + 63) / 64 * 64)),
               std::free),
        bytes(blob.size()) {
    std::memcpy(memory.get(), blob.data(), blob.size());
    status = vlm_tokenizer_create(memory.get(), bytes, &tokenizer);
  }
  explicit Opened(const std::string &folder) : Opened(blobOf(folder)) {}
  ~Opened() {
    vlm_tokenizer_destroy(tokenizer);
    vlm_status_destroy(status);
  }

  std::vector<int32_t> encode(const std::string &text, bool special = true,
                              size_t maxTokens = 0,
                              bool *truncated = nullptr) const {
    vlm_ids_t ids = {};
    EXPECT_EQ(take(vlm_tokenizer_encode(tokenizer, text.data(), text.size(),
                                        special, maxTokens, &ids)),
              "");
    std::vector<int32_t> out(ids.ids, ids.ids + ids.count);
    if (truncated)
      *truncated = ids.truncated;
    vlm_ids_destroy(&ids);
    return out;
  }
  std::string decode(const std::vector<int32_t> &ids, bool skip = true) const {
    char *text = nullptr;
    size_t count = 0;
    EXPECT_EQ(take(vlm_tokenizer_decode(tokenizer, ids.data(), ids.size(), skip,
                                        &text, &count)),
              "");
    std::string out(text, count);
    vlm_string_destroy(text);
    return out;
  }

  vlm_tokenizer_t *tokenizer = nullptr;
  vlm_status_t *status = nullptr;

private:
  static std::vector<uint8_t> blobOf(const std::string &folder) {
    Result<TokenizerTables> tables = readTokenizer(folder);
    EXPECT_TRUE(tables) << tables.message();
    return tables ? tables->blob : std::vector<uint8_t>();
  }

  std::unique_ptr<uint8_t, void (*)(void *)> memory;
  size_t bytes;
};

/// tokenizer.json around a vocabulary and merges; the other sections as given.
inline std::string tokenizerJson(const std::string &model,
                                 const std::string &rest) {
  return R"({"version": "1.0", "model": {"type": "BPE", )" + model + "}" +
         (rest.empty() ? "" : ", " + rest) + "}";
}

/// Letters, a few words and the special tokens, in the way of CLIP.
inline Folder wordFolder(const std::string &config) {
  Folder folder;
  folder.write(
      "vocab.json",
      R"({"!": 0, "a": 1, "b": 2, "c": 3, "!</w>": 4, "a</w>": 5, "b</w>": 6, "c</w>": 7, "ab": 8, "abc</w>": 9, "bc</w>": 10,
                   "Ã": 11, "©</w>": 12, "Ã©</w>": 13, "1</w>": 14, "2</w>": 15, "<|startoftext|>": 30, "<|endoftext|>": 31})");
  folder.write("merges.txt",
               "#version: 0.2\na b\nb c</w>\nab c</w>\nÃ ©</w>\n");
  folder.write("config.json", R"({"model_type": "clip"})");
  if (!config.empty())
    folder.write("tokenizer_config.json", config);
  return folder;
}

} // namespace vlmc::test

#endif // VLMC_TEST_RUNTIME_TEXT_TEXTFIXTURE_H
