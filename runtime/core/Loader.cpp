//===- Loader.cpp - Opens a compiled model --------------------------------===//
//
// NAME.vlm/lib/<arch>/libNAME.so and NAME.vlm/NAME.weights. The directory may
// have been renamed: NAME comes from the library's file name.
//
//===----------------------------------------------------------------------===//

#include "runtime/abi/LibrarySeal.h"
#include "runtime/core/Cpu.h"
#include "runtime/core/Model.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/core/ThreadPool.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

namespace fs = std::filesystem;

namespace vlmc::rt {

static std::string named(const fs::path &path) {
  return "compiled model '" + path.string() + "': ";
}

/// The names in a directory, sorted; empty if it cannot be read.
static std::vector<std::string> namesIn(const fs::path &directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

static std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

static vlm_status_t *checkDirectory(const fs::path &package) {
  std::error_code error;
  fs::file_status info = fs::status(package, error);
  bool absent = info.type() == fs::file_type::not_found;
  if (!fs::exists(info))
    return makeStatus(
        absent ? VLM_NOT_FOUND : VLM_IO,
        named(package) +
            (absent ? "no such directory"
                    : "cannot be read: " + error.message()) +
            "; give the path of the directory that `vlmc compile` wrote");
  if (!fs::is_directory(info))
    return makeStatus(VLM_NOT_FOUND, named(package) +
                                         "expected the directory that `vlmc "
                                         "compile` writes, found a file");
  return nullptr;
}

/// Finds the one library for this machine.
static vlm_status_t *findLibrary(const fs::path &package, fs::path &outLibrary,
                                 std::string &outName) {
  fs::path folder = package / "lib" / archFolder();
  std::vector<std::string> libraries;
  for (const std::string &name : namesIn(folder))
    if (name.starts_with("lib") && name.ends_with(".so") && name.size() > 6)
      libraries.push_back(name);
  if (libraries.size() == 1) {
    outLibrary = folder / libraries[0];
    outName = libraries[0].substr(3, libraries[0].size() - 6);
    return nullptr;
  }
  std::string expected = named(package) +
                         "expected one library libNAME.so in lib/" +
                         archFolder() + ", found ";
  if (libraries.size() > 1)
    return makeStatus(VLM_INCOMPATIBLE,
                      expected + joined(libraries) +
                          "; keep one compiled model per directory");
  for (const std::string &name : namesIn(folder))
    if (name.ends_with(".a"))
      return makeStatus(VLM_INCOMPATIBLE,
                        named(package) + "it holds the archive " + name +
                            ", which was compiled with --static; link it into "
                            "the program and load it with "
                            "vlm_model_load_linked(), or compile the model "
                            "without --static");
  std::vector<std::string> others = namesIn(package / "lib");
  std::erase(others, archFolder());
  if (!others.empty())
    return makeStatus(VLM_INCOMPATIBLE,
                      expected + "only code for " + joined(others) +
                          "; compile with a --target for this machine");
  return makeStatus(VLM_NOT_FOUND,
                    expected + "none; copy the whole .vlm directory, or "
                               "compile the model again");
}

/// Reads a whole file.
static vlm_status_t *readLibrary(const fs::path &library,
                                 const std::string &where,
                                 std::vector<char> &outBytes) {
  std::error_code error;
  uintmax_t size = fs::file_size(library, error);
  std::ifstream file(library, std::ios::binary);
  if (!error && file) {
    outBytes.resize(size);
    file.read(outBytes.data(), std::streamsize(size));
    outBytes.resize(size_t(file.gcount()));
  }
  if (error || !file)
    return makeStatus(VLM_IO, where + "cannot be read" +
                                  (error ? " (" + error.message() + ")" : "") +
                                  "; check its permissions");
  return nullptr;
}

/// Compares a library with its seal.
static vlm_status_t *checkSeal(const std::vector<char> &bytes,
                               const std::string &where) {
  LibrarySeal seal{};
  size_t size = bytes.size() - std::min(bytes.size(), sizeof seal);
  if (size > 0)
    std::memcpy(&seal, bytes.data() + size, sizeof seal);
  if (seal.magic != kLibrarySealMagic)
    return makeStatus(VLM_CORRUPT,
                      where + "expected at its end the checksum that `vlmc "
                              "compile` writes, found none; it is damaged, or "
                              "was changed (as strip does), or an older vlmc "
                              "wrote it: copy it again, or compile the model "
                              "again");
  LibrarySeal found = sealOf(bytes.data(), size);
  if (seal.bytes == found.bytes && seal.crc == found.crc)
    return nullptr;
  auto text = [](const LibrarySeal &seal) {
    std::array<char, 17> digits{};
    std::snprintf(digits.data(), digits.size(), "%016llx",
                  static_cast<unsigned long long>(seal.crc));
    return std::to_string(seal.bytes) + " bytes with CRC-64 " + digits.data();
  };
  return makeStatus(VLM_CORRUPT,
                    where + "damaged: expected " + text(seal) + ", found " +
                        text(found) +
                        "; copy it again, or compile the model again");
}

/// Checks a library before the dynamic loader maps it: one that ends too early
/// or differs in a bit could end the process.
static vlm_status_t *checkLibrary(const fs::path &library,
                                  const std::string &where) {
  std::vector<char> bytes;
  if (vlm_status_t *status = readLibrary(library, where, bytes))
    return status;
  Elf64_Ehdr header{};
  if (bytes.size() >= sizeof header)
    std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64)
    return makeStatus(VLM_CORRUPT, where + "not a 64-bit ELF library; copy it "
                                           "again, or compile the model "
                                           "again");
  uint64_t sections = uint64_t(header.e_shentsize) * header.e_shnum, end;
  if (__builtin_add_overflow(header.e_shoff, sections, &end) ||
      end > bytes.size())
    return makeStatus(VLM_CORRUPT,
                      where + "truncated: expected at least " +
                          std::to_string(end) + " bytes, found " +
                          std::to_string(bytes.size()) +
                          "; copy it again, or compile the model again");
  return checkSeal(bytes, where);
}

static vlm_status_t *openLibrary(const fs::path &library,
                                 const std::string &name, vlm_model_t &model,
                                 const vlm_abi_model *&outAbi) {
  std::string where = "library '" + library.string() + "': ";
  if (vlm_status_t *status = checkLibrary(library, where))
    return status;
  // A name without a slash would be looked for in the system's folders.
  std::string path = fs::absolute(library).string();
  model.library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!model.library)
    return makeStatus(VLM_INCOMPATIBLE,
                      where + "cannot be loaded: " + dlerror() +
                          "; copy it again, or compile the model again");
  std::string symbol = name + "_vlm_model";
  outAbi =
      static_cast<const vlm_abi_model *>(dlsym(model.library, symbol.c_str()));
  if (!outAbi)
    return makeStatus(VLM_INCOMPATIBLE,
                      where + "expected the symbol '" + symbol +
                          "', found none; the file is no compiled model or "
                          "was renamed, compile the model again");
  return nullptr;
}

static vlm_status_t *choosePool(const vlm_load_options_t *options,
                                vlm_model_t &model) {
  if (options && options->struct_bytes != sizeof(vlm_load_options_t))
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "load options: 'struct_bytes' must be "
                      "sizeof(vlm_load_options_t), " +
                          std::to_string(sizeof(vlm_load_options_t)) +
                          ", found " + std::to_string(options->struct_bytes));
  if (options && options->picture_cache_bytes < -1)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "load options: 'picture_cache_bytes' must be -1 or more, "
                      "found " +
                          std::to_string(options->picture_cache_bytes));
  model.pictureCacheBytes = options ? options->picture_cache_bytes : 0;
  if (options && options->pool) {
    model.pool = options->pool;
    return nullptr;
  }
  vlm_status_t *status = defaultPool(model.sharedPool);
  model.pool = model.sharedPool.get();
  return status;
}

/// The caller's choice, or else the checkpoint's.
static vlm_status_t *chooseImageBackend(const vlm_load_options_t *options,
                                        vlm_model_t &model) {
  // It may be any number, which must not be read as the enumeration.
  int wanted = VLM_IMAGE_BACKEND_DEFAULT;
  if (options)
    std::memcpy(&wanted, &options->image_backend, sizeof wanted);
  if (wanted < VLM_IMAGE_BACKEND_DEFAULT ||
      wanted > VLM_IMAGE_BACKEND_TORCHVISION)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "load options: 'image_backend' must be a value of "
                      "vlm_image_backend_t (0 to 2), found " +
                          std::to_string(wanted));
  if (const vlm_abi_image *image = model.abi->image)
    model.imageBackend =
        wanted != VLM_IMAGE_BACKEND_DEFAULT     ? options->image_backend
        : image->backend == VLM_ABI_BACKEND_PIL ? VLM_IMAGE_BACKEND_PIL
                                                : VLM_IMAGE_BACKEND_TORCHVISION;
  return nullptr;
}

static vlm_status_t *load(const char *path, const vlm_load_options_t *options,
                          vlm_model_t &model) {
  fs::path package(path), library;
  std::string name;
  const vlm_abi_model *abi = nullptr;
  if (vlm_status_t *status = choosePool(options, model))
    return status;
  if (vlm_status_t *status = checkDirectory(package))
    return status;
  if (vlm_status_t *status = findLibrary(package, library, name))
    return status;
  if (vlm_status_t *status = openLibrary(library, name, model, abi))
    return status;
  std::string where = "library '" + library.string() + "': ";
  if (vlm_status_t *status = adoptTables(model, abi, options, where))
    return status;
  if (vlm_status_t *status = chooseImageBackend(options, model))
    return status;
  return openWeights(model, (package / (name + ".weights")).string(), options,
                     where);
}

static vlm_status_t *missing(const char *function, const char *argument) {
  return makeStatus(VLM_INVALID_ARGUMENT, std::string(function) + ": '" +
                                              argument + "' must not be NULL");
}

} // namespace vlmc::rt

using namespace vlmc::rt;

vlm_status_t *vlm_model_load(const char *path,
                             const vlm_load_options_t *options,
                             vlm_model_t **out_model) {
  return guarded("loading a model", [&]() -> vlm_status_t * {
    if (!path || !out_model)
      return missing("vlm_model_load", path ? "out_model" : "path");
    auto model = std::make_unique<vlm_model_t>();
    if (vlm_status_t *status = load(path, options, *model))
      return status;
    *out_model = model.release();
    return nullptr;
  });
}

vlm_status_t *vlm_model_load_linked(const vlm_abi_model *abi,
                                    const char *weightsPath,
                                    const vlm_load_options_t *options,
                                    vlm_model_t **out_model) {
  return guarded("loading a model", [&]() -> vlm_status_t * {
    if (!abi || !weightsPath || !out_model)
      return missing("vlm_model_load_linked", !abi           ? "model"
                                              : !weightsPath ? "weights_path"
                                                             : "out_model");
    auto model = std::make_unique<vlm_model_t>();
    if (vlm_status_t *status = choosePool(options, *model))
      return status;
    if (vlm_status_t *status =
            adoptTables(*model, abi, options, "linked model: "))
      return status;
    if (vlm_status_t *status = chooseImageBackend(options, *model))
      return status;
    if (vlm_status_t *status =
            openWeights(*model, weightsPath, options, "linked model: "))
      return status;
    *out_model = model.release();
    return nullptr;
  });
}
