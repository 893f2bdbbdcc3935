//===-- Assemble.cpp - PTX to a chip's code, and what it takes ------------===//
#include "codegen/cuda/Assemble.h"
#include "codegen/cuda/Launch.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace vlmc::cuda {

//===-- The program -------------------------------------------------------===//

/// Where a Python package put it, below `folder`; "": nowhere.
static std::string findInWheels(StringRef folder) {
  std::error_code error;
  for (sys::fs::recursive_directory_iterator it(folder, error), end;
       it != end && !error; it.increment(error)) {
    if (sys::path::filename(it->path()) == "ptxas" &&
        sys::fs::can_execute(it->path()))
      return it->path();
    // Packages lie a few folders down; what is deeper is something else.
    if (it.level() > 7)
      it.no_push();
  }
  return "";
}

Expected<std::string> findPtxas(StringRef given) {
  if (!given.empty()) {
    if (auto program = sys::findProgramByName(given))
      return *program;
    return createStringError("ptxas: '" + given +
                             "' cannot be run; give the program of a CUDA "
                             "toolkit, or leave the option out");
  }
  if (auto program = sys::findProgramByName("ptxas"))
    return *program;
  if (auto program = sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"}))
    return *program;
  SmallString<128> cache;
  if (auto folder = sys::Process::GetEnv("VLMC_CACHE"))
    cache = *folder;
  else if (sys::path::home_directory(cache))
    sys::path::append(cache, ".cache", "vlmc");
  sys::path::append(cache, "cuda");
  return findInWheels(cache);
}

/// Runs ptxas on files of its own; its two outputs come back together.
static Expected<std::string> run(StringRef ptxas, StringRef ptx, StringRef chip,
                                 std::string &cubin) {
  SmallString<128> text, code, output;
  if (sys::fs::createTemporaryFile("vlmc", "ptx", text) ||
      sys::fs::createTemporaryFile("vlmc", "cubin", code) ||
      sys::fs::createTemporaryFile("vlmc", "log", output))
    return createStringError("cannot make temporary files for ptxas");
  scope_exit remove([&] {
    for (StringRef path : {text.str(), code.str(), output.str()})
      sys::fs::remove(path);
  });
  std::error_code error;
  {
    raw_fd_ostream os(text, error);
    os << ptx;
  }
  std::string architecture = ("-arch=" + chip).str(), message;
  StringRef arguments[] = {ptxas, architecture, "-v", "-O3", text, "-o", code};
  std::optional<StringRef> redirects[] = {StringRef(), output.str(),
                                          output.str()};
  int result = sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, 0,
                                   0, &message);
  auto log = MemoryBuffer::getFile(output);
  std::string said = log ? (*log)->getBuffer().str() : message;
  if (result != 0)
    return createStringError("ptxas refuses the code for " + chip + ": " +
                             said);
  auto made = MemoryBuffer::getFile(code, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!made)
    return createStringError("ptxas made no code for " + chip);
  cubin = (*made)->getBuffer().str();
  return said;
}

Expected<Assembled> assemble(StringRef ptxas, StringRef ptx, StringRef chip) {
  Assembled result;
  Expected<std::string> output = run(ptxas, ptx, chip, result.cubin);
  if (!output)
    return output.takeError();
  result.kernels = readUses(*output);
  SmallVector<StringRef> lines;
  StringRef(*output).split(lines, '\n');
  for (StringRef line : lines)
    if (line.contains("warning") || line.contains("serializ") ||
        line.contains("Performance Loss"))
      result.warnings += (line + "\n").str();
  return result;
}

//===-- What it says ------------------------------------------------------===//

/// The number before `unit` in a line; 0: it is not there.
static int64_t numberBefore(StringRef line, StringRef unit) {
  size_t at = line.find(unit);
  if (at == StringRef::npos)
    return 0;
  StringRef before = line.take_front(at).rtrim();
  size_t begin = before.find_last_not_of("0123456789");
  int64_t number = 0;
  before.drop_front(begin == StringRef::npos ? 0 : begin + 1)
      .getAsInteger(10, number);
  return number;
}

std::vector<KernelUse> readUses(StringRef output) {
  std::vector<KernelUse> uses;
  SmallVector<StringRef> lines;
  output.split(lines, '\n');
  for (StringRef line : lines) {
    if (line.contains("Compiling entry function")) {
      uses.emplace_back().kernel = line.split('\'').second.split('\'').first;
      continue;
    }
    if (uses.empty())
      continue;
    KernelUse &use = uses.back();
    if (line.contains("stack frame")) {
      use.stackBytes = numberBefore(line, " bytes stack frame");
      use.spilledBytes = numberBefore(line, " bytes spill stores") +
                         numberBefore(line, " bytes spill loads");
    } else if (line.contains(" registers")) {
      use.registers = numberBefore(line, " registers");
      use.staticShared = numberBefore(line, " bytes smem");
    }
  }
  return uses;
}

StringMap<int64_t> countTensorOps(StringRef ptx) {
  StringMap<int64_t> counts;
  StringRef kernel;
  SmallVector<StringRef> lines;
  ptx.split(lines, '\n');
  for (StringRef line : lines) {
    if (line.contains(".entry "))
      kernel = line.split(".entry ").second.take_until(
          [](char c) { return c == '(' || isSpace(c); });
    else if (!kernel.empty() &&
             (line.contains("mma.sync.") || line.contains("wgmma.mma_async")))
      ++counts[kernel];
  }
  return counts;
}

std::vector<std::string> describeUses(ArrayRef<KernelUse> uses,
                                      StringRef chip) {
  constexpr const char *format = "{0,-34} {1,-10} {2,8} {3,9} {4,7} {5,6} "
                                 "{6,13} {7,13} {8,10}";
  std::vector<std::string> lines = {formatv(
      format, "kernel (" + chip.str() + ")", "strategy", "threads", "registers",
      "spilled", "stack", "static shared", "dynamic shared", "tensor ops")};
  for (const KernelUse &use : uses) {
    auto assembled = [&](int64_t number) {
      return use.registers ? std::to_string(number) : std::string("-");
    };
    lines.push_back(formatv(
        format, use.kernel, use.strategy, use.threads, assembled(use.registers),
        assembled(use.spilledBytes), assembled(use.stackBytes),
        assembled(use.staticShared), use.dynamicShared, use.tensorOps));
  }
  for (const KernelUse &use : uses)
    if (!use.note.empty())
      lines.push_back(use.kernel + ": " + use.note);
  return lines;
}

std::string checkUse(const KernelUse &use, StringRef chip) {
  auto tell = [&](const Twine &what) {
    return ("kernel '" + use.kernel + "' on " + chip + " " + what).str();
  };
  if (use.spilledBytes)
    return tell("spills " + Twine(use.spilledBytes) +
                " bytes of registers; its tile is too large");
  constexpr int64_t registersOfBlock = 65536;
  if (use.registers * use.threads > registersOfBlock)
    return tell("takes " + Twine(use.registers) + " registers for each of " +
                Twine(use.threads) + " threads, more than the " +
                Twine(registersOfBlock) + " of a block");
  int64_t shared = use.staticShared + use.dynamicShared;
  if (shared > maxSharedBytes(chip))
    return tell("takes " + Twine(shared) +
                " bytes of shared memory for a block, more than the " +
                Twine(maxSharedBytes(chip)) + " there are");
  return "";
}

} // namespace vlmc::cuda
