//===- ModelCache.h - Compiled models of checkpoint folders -----*- C++ -*-===//
//
// Commands take a checkpoint folder wherever they take a compiled model: it is
// compiled into a cache first, and found there the next time.
//
//   Outcome<std::string> package =
//       findOrCompile("/models/foo", {.taps = {"vision_features"}}, cache);
//
// The key of an entry is made of the contents of the folder's small files, the
// headers, sizes, times and inodes of its weight files, the program itself and
// the options: weights are never read for it. Programs that want the same
// model at once wait for the one that compiles it.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_MODELCACHE_H
#define VLMC_TOOLS_VLMC_MODELCACHE_H

#include "tools/vlmc/Report.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// What a checkpoint is compiled with.
struct Variant {
  bool reference = false;
  /// Values to be outputs where the model has them.
  std::vector<std::string> taps;
};

/// The cache's folder: the one given, else $VLMC_CACHE_DIR, else vlmc/models
/// in the user's cache folder.
Outcome<std::string> cacheFolder(const std::string &given);

/// The path of the compiled model of a checkpoint folder, which is compiled if
/// it is not there or `isDamaged` says that what is there cannot be used.
/// Errors: those of compiling; a cache that cannot be written.
Outcome<std::string> findOrCompile(const std::string &checkpoint,
                                   const Variant &variant,
                                   const std::string &cache,
                                   bool isDamaged = false);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_MODELCACHE_H
