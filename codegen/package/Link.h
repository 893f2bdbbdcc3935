//===-- Link.h - links a model's library with LLD in this process ---------===//
//
// No compiler, linker or libc is needed on the user's machine, and objects of
// another architecture link on this one.
//
//   LinkRequest request{objects, "out/lib/x86_64/libclip.so", "libclip.so",
//                       {"clip_vlm_model"}};
//   if (llvm::Error error = linkSharedLibrary(request, "out/.link"))
//     return error;
//   request.output = "out/lib/x86_64/libclip.a";
//   if (llvm::Error error = linkArchive(request, "out/.link"))
//     return error;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_LINK_H
#define VLMC_CODEGEN_PACKAGE_LINK_H

#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace vlmc {

/// A relocatable object and the name it has in messages.
struct NamedObject {
  std::string name; ///< "kernels.x86-64-v3": without folder and ending
  std::string bytes;
};

struct LinkRequest {
  std::vector<NamedObject> objects;
  std::string output;
  std::string soname;
  /// What the library exports; all else is local.
  std::vector<std::string> exports;
  /// What it may import, for instance libm's functions for the reference
  /// strategy. Other open symbols are errors.
  std::vector<std::string> imports;
};

/// Links a shared library and seals it (runtime/abi/LibrarySeal.h). `folder` is
/// for the linker's input files: it is made and removed here. The same request
/// gives the same bytes. May be called again and from several threads (one
/// waits for another). Errors: an open symbol, one defined twice, or whatever
/// LLD says.
llvm::Error linkSharedLibrary(const LinkRequest &request,
                              const std::string &folder);

/// Writes an archive of one object, linked from all of the request, whose only
/// global symbols are the exports: archives of several models do not clash in
/// one program. Folder, bytes, threads and errors as above.
llvm::Error linkArchive(const LinkRequest &request, const std::string &folder);

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_LINK_H
