//===- Halide.cpp - Runs vlmc-halide --------------------------------------===//
#include "codegen/halide/Halide.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

#include <optional>

namespace vlmc {

using llvm::StringRef;

ImagePipelineSymbols imagePipelineSymbols(StringRef prefix) {
  std::string stem = (prefix + "_image_").str();
  return {stem + "resize_rows_argv", stem + "resize_columns_argv",
          stem + "finish_argv"};
}

std::string findVlmcHalide() {
  // Any symbol of this program serves as the second argument; Linux reads
  // /proc/self/exe and does not need it.
  std::string self = llvm::sys::fs::getMainExecutable(
      nullptr, reinterpret_cast<void *>(&findVlmcHalide));
  llvm::SmallString<256> path(self);
  llvm::sys::path::remove_filename(path);
  llvm::sys::path::append(path, "vlmc-halide");
  return path.str().str();
}

static llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(message);
}

/// Whether a folder's disk has no room for even small files.
static bool isFull(StringRef folder) {
  llvm::ErrorOr<llvm::sys::fs::space_info> space =
      llvm::sys::fs::disk_space(folder);
  return space && space->available < (1 << 20);
}

/// What the program wrote to its error stream, without the last line end.
static std::string readMessage(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().rtrim().str() : std::string();
}

llvm::Expected<std::vector<std::string>>
generateImagePipelines(StringRef target, StringRef prefix, StringRef outDir,
                       StringRef vlmcHalide) {
  if (!llvm::sys::fs::can_execute(vlmcHalide))
    return failure(vlmcHalide + ": expected the program vlmc-halide, found "
                                "none; install it beside vlmc");
  if (!llvm::sys::fs::is_directory(outDir))
    return failure("image pipelines: expected a folder that exists, found '" +
                   outDir + "'");
  llvm::SmallString<128> messages(outDir);
  llvm::sys::path::append(messages, "vlmc-halide.log");
  llvm::FileRemover remover(messages);
  StringRef arguments[] = {vlmcHalide, "--target", target, "--prefix",
                           prefix,     "-o",       outDir};
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(messages),
                                          StringRef(messages)};
  std::string problem;
  int code = llvm::sys::ExecuteAndWait(vlmcHalide, arguments, std::nullopt,
                                       redirects, /*SecondsToWait=*/0,
                                       /*MemoryLimit=*/0, &problem);
  if (code != 0 && isFull(outDir))
    return llvm::createStringError(
        std::make_error_code(std::errc::no_space_on_device),
        "cannot write the image pipelines to '" + outDir +
            "': the disk is full; free some space or set TMPDIR to another "
            "folder");
  if (code != 0)
    return failure("vlmc-halide for target " + target + " failed: " +
                   (problem.empty() ? readMessage(messages) : problem));
  std::vector<std::string> objects;
  for (StringRef part : {"resize_rows", "resize_columns", "finish"}) {
    llvm::SmallString<256> path(outDir);
    llvm::sys::path::append(path, prefix + "_image_" + part + ".o");
    if (!llvm::sys::fs::exists(path))
      return failure("vlmc-halide did not write " + path);
    objects.push_back(path.str().str());
  }
  return objects;
}

} // namespace vlmc
