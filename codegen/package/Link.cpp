//===-- Link.cpp - links a model's library with LLD in this process -------===//
#include "codegen/package/Link.h"
#include "codegen/package/Error.h"
#include "codegen/package/Files.h"
#include "lld/Common/Driver.h"
#include "runtime/abi/LibrarySeal.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ObjCopy/CommonConfig.h"
#include "llvm/ObjCopy/ConfigManager.h"
#include "llvm/ObjCopy/ObjCopy.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <map>
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace vlmc {

/// Refuses symbols that no object defines and `imports` does not name, before
/// LLD does: its message would name files that are gone.
static Error checkOpenSymbols(const LinkRequest &request) {
  StringSet<> known;
  for (const std::string &name : request.imports)
    known.insert(name);
  std::map<std::string, std::string> open; // symbol -> object, sorted
  for (const NamedObject &object : request.objects) {
    Expected<std::unique_ptr<object::ObjectFile>> file =
        object::ObjectFile::createObjectFile(
            MemoryBufferRef(object.bytes, object.name));
    if (!file)
      return internalError("cannot link '" + request.soname + "': object '" +
                           object.name + "': " + toString(file.takeError()));
    for (const object::SymbolRef &symbol : (*file)->symbols()) {
      Expected<StringRef> name = symbol.getName();
      Expected<uint32_t> flags = symbol.getFlags();
      if (!name || !flags)
        return joinErrors(name.takeError(), flags.takeError());
      if (name->empty())
        continue;
      if (!(*flags & object::SymbolRef::SF_Undefined))
        known.insert(*name);
      else if (!(*flags & object::SymbolRef::SF_Weak))
        open.try_emplace(name->str(), object.name);
    }
  }
  std::string missing;
  for (const auto &[symbol, object] : open)
    if (!known.contains(symbol) && symbol != "_GLOBAL_OFFSET_TABLE_")
      missing += (missing.empty() ? "'" : ", '") + symbol + "' of object '" +
                 object + "'";
  if (missing.empty())
    return Error::success();
  return internalError("cannot link '" + request.soname +
                       "': no object defines " + missing);
}

/// LLD maps its output, so that a disk which fills up ends the process: sees to
/// it that there is room for the library, which is no larger than its objects
/// and some tables.
static Error checkRoom(const LinkRequest &request, const std::string &output) {
  uint64_t bytes = 64 << 10;
  for (const NamedObject &object : request.objects)
    bytes += object.bytes.size();
  Expected<OutputFile> file = OutputFile::create(output, bytes);
  if (!file)
    return file.takeError();
  if (std::error_code code = sys::fs::remove(output))
    return userError("cannot remove '" + output + "': " + code.message());
  return Error::success();
}

/// One call of LLD at a time; it keeps its state in globals.
static Error runLinker(ArrayRef<std::string> arguments, StringRef soname) {
  static std::mutex mutex;
  static bool usable = true;
  std::lock_guard lock(mutex);
  if (!usable)
    return internalError("cannot link '" + soname +
                         "': the linker has crashed before");
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string output;
  raw_string_ostream stream(output);
  lld::DriverDef drivers[] = {{lld::Gnu, &lld::elf::link}};
  lld::Result result = lld::lldMain(pointers, stream, stream, drivers);
  usable = result.canRunAgain;
  StringRef text = StringRef(output).trim();
  if (result.retCode == 0 && text.empty())
    return Error::success();
  return internalError("cannot link '" + soname +
                       "': " + (text.empty() ? "the linker failed" : text));
}

/// Writes the objects into `folder` and adds their paths to the arguments.
static Error writeObjects(const LinkRequest &request, const std::string &folder,
                          std::vector<std::string> &arguments) {
  for (const NamedObject &object : request.objects) {
    std::string path = folder + "/" + object.name + ".o";
    if (Error error = writeFile(path, object.bytes))
      return error;
    arguments.push_back(path);
  }
  return Error::success();
}

static Error makeFolder(const std::string &folder) {
  if (std::error_code code = sys::fs::create_directories(folder))
    return userError("cannot create '" + folder + "': " + code.message());
  return Error::success();
}

/// Appends the checksum that the runtime compares before it loads the library.
static Error sealLibrary(const std::string &path) {
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer =
      MemoryBuffer::getFile(path, /*IsText=*/false,
                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return userError("cannot read '" + path +
                     "': " + buffer.getError().message());
  StringRef bytes = (*buffer)->getBuffer();
  LibrarySeal seal = sealOf(bytes.data(), bytes.size());
  return appendToFile(path,
                      {reinterpret_cast<const uint8_t *>(&seal), sizeof seal});
}

Error linkSharedLibrary(const LinkRequest &request, const std::string &folder) {
  if (Error error = checkOpenSymbols(request))
    return error;
  if (Error error = makeFolder(folder))
    return error;
  llvm::scope_exit cleanUp([&] { (void)sys::fs::remove_directories(folder); });

  std::string script = "{ global:";
  for (const std::string &name : request.exports)
    script += " " + name + ";";
  script += " local: *; };\n";
  std::string scriptPath = folder + "/exports.map";
  if (Error error = writeFile(scriptPath, script))
    return error;

  std::vector<std::string> arguments = {
      "ld.lld", "-shared", "--hash-style=gnu", "--build-id=sha1", "-z", "relro",
      "-z", "now", "--gc-sections", "--fatal-warnings",
      "--version-script=" + scriptPath, "-soname", request.soname, "-o",
      request.output, "-z",
      // Imports are bound at load, by name, from what the program has.
      request.imports.empty() ? "defs" : "undefs"};
  if (Error error = writeObjects(request, folder, arguments))
    return error;
  if (Error error = checkRoom(request, request.output))
    return error;
  if (Error error = runLinker(arguments, request.soname))
    return error;
  return sealLibrary(request.output);
}

//===-- Archives ----------------------------------------------------------===//

/// The linked object at `path` with all symbols local but the exports.
static Expected<std::string> hideSymbols(const LinkRequest &request,
                                         const std::string &path) {
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return userError("cannot read '" + path +
                     "': " + buffer.getError().message());
  Expected<std::unique_ptr<object::Binary>> binary =
      object::createBinary(**buffer);
  if (!binary)
    return binary.takeError();
  objcopy::ConfigManager config;
  for (const std::string &name : request.exports)
    if (Error error = config.Common.SymbolsToKeepGlobal.addMatcher(
            objcopy::NameOrPattern::create(name, objcopy::MatchStyle::Literal,
                                           [](Error error) { return error; })))
      return std::move(error);
  std::string bytes;
  raw_string_ostream os(bytes);
  if (Error error = objcopy::executeObjcopyOnBinary(config, **binary, os))
    return std::move(error);
  return bytes;
}

Error linkArchive(const LinkRequest &request, const std::string &folder) {
  if (Error error = checkOpenSymbols(request))
    return error;
  if (Error error = makeFolder(folder))
    return error;
  llvm::scope_exit cleanUp([&] { (void)sys::fs::remove_directories(folder); });

  std::string linked = folder + "/linked";
  std::vector<std::string> arguments = {"ld.lld", "-r", "--fatal-warnings",
                                        "-o", linked};
  if (Error error = writeObjects(request, folder, arguments))
    return error;
  if (Error error = checkRoom(request, linked))
    return error;
  if (Error error = runLinker(arguments, request.soname))
    return error;
  Expected<std::string> bytes = hideSymbols(request, linked);
  if (!bytes)
    return bytes.takeError();
  std::vector<NewArchiveMember> members;
  members.emplace_back(MemoryBufferRef(*bytes, request.soname));
  Expected<std::unique_ptr<MemoryBuffer>> archive = writeArchiveToBuffer(
      members, SymtabWritingMode::NormalSymtab, object::Archive::K_GNU,
      /*Deterministic=*/true, /*Thin=*/false);
  if (!archive)
    return archive.takeError();
  return writeFile(request.output, (*archive)->getBuffer());
}

} // namespace vlmc
