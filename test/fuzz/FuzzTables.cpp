//===- FuzzTables.cpp - Damaged tokenizer tables --------------------------===//
//
// The tables are checked when they are opened: no damage may do more than be
// told. The bytes are triples that change a good table, which is more likely to
// come past the first checks than bytes alone: a place (3 bytes) and a value.
//
//===----------------------------------------------------------------------===//
#include "frontend/text/TokenizerTables.h"
#include "runtime/vlm.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

using namespace vlmc;

static const std::vector<uint8_t> &goodTables() {
  static const std::vector<uint8_t> blob = [] {
    Result<TokenizerTables> tables =
        readTokenizer(VLMC_SOURCE_DIR "/test/e2e/goldens/clip/v5-plain/model");
    if (!tables) {
      std::fprintf(stderr, "%s\n", tables.message().c_str());
      std::abort();
    }
    return tables->blob;
  }();
  return blob;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<uint8_t> blob = goodTables();
  for (size_t i = 0; i + 4 <= size; i += 4) {
    size_t place =
        data[i] | size_t(data[i + 1]) << 8 | size_t(data[i + 2]) << 16;
    blob[place % blob.size()] = data[i + 3];
  }
  // A last odd byte cuts the table.
  if (size % 4 == 1)
    blob.resize(blob.size() * data[size - 1] / 256);
  vlm_tokenizer_t *tokenizer = nullptr;
  vlm_status_destroy(
      vlm_tokenizer_create(blob.data(), blob.size(), &tokenizer));
  if (!tokenizer)
    return 0;
  constexpr std::string_view text =
      "a cat's 12 hats\n\xC3\x89t\xC3\xA9 <|endoftext|>";
  vlm_ids_t ids{};
  vlm_status_destroy(
      vlm_tokenizer_encode(tokenizer, text.data(), text.size(), 1, 16, &ids));
  char *decoded = nullptr;
  size_t bytes = 0;
  if (ids.ids)
    vlm_status_destroy(vlm_tokenizer_decode(tokenizer, ids.ids, ids.count, 0,
                                            &decoded, &bytes));
  vlm_string_destroy(decoded);
  vlm_ids_destroy(&ids);
  vlm_tokenizer_destroy(tokenizer);
  return 0;
}
