//===- FuzzRequests.cpp - The requests.json of `vlmc run` -----------------===//
#include "test/fuzz/Fuzz.h"
#include "tools/vlmc/Requests.h"

using namespace vlmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  tool::Outcome<tool::RequestFile> file =
      tool::readRequests(folder.write("requests.json", data, size));
  // What is refused is told, and what is taken has what its task needs.
  if (!file) {
    if (file.takeFault().message.empty())
      std::abort();
    return 0;
  }
  for (const tool::RequestCase &request : file->cases) {
    if (request.fault) {
      if (request.fault->message.empty())
        std::abort();
      continue;
    }
    if (request.task.empty() || request.maxNewTokens < 0 ||
        file->isTensors != !request.tensors.empty())
      std::abort();
  }
  return 0;
}
