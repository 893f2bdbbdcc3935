//===- FuzzTokenizer.cpp - tokenizer.json ---------------------------------===//
#include "frontend/text/TokenizerTables.h"
#include "runtime/vlm.h"
#include "test/fuzz/Fuzz.h"

#include <string_view>

using namespace vlmc;

/// What the frontend takes, the runtime must open and be able to use.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  folder.write("tokenizer.json", data, size);
  Result<TokenizerTables> tables = readTokenizer(folder.path());
  if (!tables)
    return 0;
  vlm_tokenizer_t *tokenizer = nullptr;
  vlm_status_destroy(vlm_tokenizer_create(tables->blob.data(),
                                          tables->blob.size(), &tokenizer));
  if (!tokenizer)
    return 0;
  constexpr std::string_view text = "A cat's 12 hats\n\xC3\x89t\xC3\xA9 \xFF";
  vlm_ids_t ids{};
  vlm_status_destroy(
      vlm_tokenizer_encode(tokenizer, text.data(), text.size(), 1, 0, &ids));
  vlm_ids_destroy(&ids);
  vlm_tokenizer_destroy(tokenizer);
  return 0;
}
