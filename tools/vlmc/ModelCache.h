//===- ModelCache.h - Compiled models of checkpoint folders -----*- C++ -*-===//
//
// Commands take a checkpoint folder wherever they take a compiled model: it is
// compiled into a cache first, and found there the next time.
//
//   Outcome<CachedModel> model =
//       findOrCompile("/models/foo", {.taps = {"vision_features"}}, cache);
//
// The key of an entry is made of the contents of the folder's small files, also
// those in folders inside it, the headers, sizes, times and inodes of its
// weight files, the same of another folder that it needs, the program itself
// and the options: weights are never read for it. Programs that want the same
// model at once wait for the one that compiles it. Beyond a size the least
// recently used models are removed; see CacheEntries.h.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_MODELCACHE_H
#define VLMC_TOOLS_VLMC_MODELCACHE_H

#include "frontend/families/ImportOptions.h"
#include "tools/vlmc/CacheEntries.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// What a checkpoint is compiled with.
struct Variant {
  bool reference = false;
  /// Values to be outputs where the model has them.
  std::vector<std::string> taps;
  ImportOptions import = {};
};

/// The cache's folder: the one given, else $VLMC_CACHE_DIR, else vlmc/models
/// in the user's cache folder.
Outcome<std::string> cacheFolder(const std::string &given);

/// Where the cache is and how large it may be.
struct CacheOptions {
  static constexpr uint64_t defaultBytes = uint64_t(64) << 30;
  std::string folder;
  uint64_t maxBytes = defaultBytes;
};

/// A compiled model, which stays in the cache while this is there.
struct CachedModel {
  std::string package; ///< the folder NAME.vlm
  EntryLock lock;
};

/// The compiled model of a checkpoint folder, which is compiled if it is not
/// there or `isDamaged` says that what is there cannot be used.
/// Errors: those of compiling; a cache that cannot be written.
Outcome<CachedModel> findOrCompile(const std::string &checkpoint,
                                   const Variant &variant,
                                   const CacheOptions &cache,
                                   bool isDamaged = false);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_MODELCACHE_H
