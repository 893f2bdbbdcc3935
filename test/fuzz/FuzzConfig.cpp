//===- FuzzConfig.cpp - config.json and preprocessor_config.json ----------===//
#include "frontend/families/Family.h"
#include "frontend/support/Json.h"
#include "test/fuzz/Fuzz.h"

#include <string_view>

using namespace vlmc;

/// Reads the bytes as a config of each family, and as a processor's beside it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  std::string path = folder.write("config.json", data, size);
  folder.write("preprocessor_config.json", data, size);
  Result<Json> config = parseJson(
      std::string_view(reinterpret_cast<const char *>(data), size), path);
  if (!config || !config->is_object())
    return 0;
  for (std::string_view name : familyNames()) {
    ConfigLog log;
    (void)findFamily(name)->read({folder.path(), path, *config}, log);
  }
  return 0;
}
