//===- Report.cpp - Faults, exit codes, messages --------------------------===//
#include "tools/vlmc/Report.h"

#include "codegen/package/Error.h"
#include "tools/vlmc/Progress.h"
#include "llvm/Support/JSON.h"

#include <cstdio>

namespace vlmc::tool {

std::optional<Fault> check(vlm_status_t *status) {
  if (!status)
    return std::nullopt;
  Fault fault(vlm_status_message(status));
  if (vlm_status_code(status) == VLM_INTERNAL)
    fault.code = ExitCode::Internal;
  vlm_status_destroy(status);
  return fault;
}

std::optional<Fault> check(llvm::Error error) {
  if (!error)
    return std::nullopt;
  bool isUser = true;
  std::string message = takeMessage(std::move(error), &isUser);
  return Fault(std::move(message),
               isUser ? ExitCode::Input : ExitCode::Internal);
}

/// A line that a terminal shows as it stands: names from damaged files may hold
/// anything. Broken UTF-8 becomes U+FFFD, a control character its number.
static std::string printable(const std::string &line) {
  std::string result;
  for (char c : llvm::json::fixUTF8(line)) {
    bool isC1 = result.ends_with('\xC2') && (c & 0xE0) == 0x80;
    if (isC1)
      result.pop_back();
    if (!isC1 && (c & 0xE0) != 0 && c != 0x7F) {
      result += c;
      continue;
    }
    char number[8];
    std::snprintf(number, sizeof(number), "\\x%02X", uint8_t(c));
    result += number;
  }
  return result;
}

static void print(const char *kind, const std::string &message) {
  Progress::clear();
  for (size_t begin = 0; begin <= message.size();) {
    size_t end = std::min(message.find('\n', begin), message.size());
    std::string line = printable(message.substr(begin, end - begin));
    // Notes of the compiler are indented below what they explain.
    bool isDetail = line.starts_with("  ");
    std::fprintf(stderr, "%s%s%s\n",
                 isDetail ? "" : "vlmc: ", isDetail ? "" : kind, line.c_str());
    begin = end + 1;
  }
}

ExitCode report(const Fault &fault) {
  bool isInternal = fault.code == ExitCode::Internal;
  print(isInternal ? "internal error: " : "error: ", fault.message);
  if (isInternal)
    print("note: ", "this is a defect of vlmc, not of your input");
  return fault.code;
}

void warn(const std::string &message) { print("warning: ", message); }

void note(const std::string &message) { print("note: ", message); }

} // namespace vlmc::tool
