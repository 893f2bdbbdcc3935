//===- Requests.h - The requests.json of `vlmc run` -------------*- C++ -*-===//
//
// Reads a file of requests strictly: unknown fields and values of a wrong type
// are faults, of the file or of one case.
//
//   Outcome<RequestFile> requests = readRequests("requests.json");
//   for (const RequestCase &request : requests->cases)
//     if (request.fault) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_REQUESTS_H
#define VLMC_TOOLS_VLMC_REQUESTS_H

#include "frontend/support/Json.h"
#include "runtime/image/ImageInternal.h"
#include "tools/vlmc/BeamFields.h"
#include "tools/vlmc/Fault.h"
#include "tools/vlmc/Messages.h"

#include <optional>
#include <string>
#include <vector>

namespace vlmc::tool {

/// What a case of the task `generate` asks for.
struct PromptFields {
  std::vector<std::string> prompts; ///< of `text`, `batch` or `interleaved`
  bool isInterleaved = false; ///< then each element is a text or a picture
  std::vector<bool> isPicture;
  std::vector<bool> isVideo; ///< of those that are pictures
  OrderedJson messages;     ///< null: none
  std::string chatTemplate; ///< as --chat-template gives it; "": the model's
  bool addsSpecial = true;
  bool endsParts = false; ///< a token between two texts of `interleaved`
  std::optional<bool> padsLeft;
  rt::View view; ///< whether long pictures are shown in crops too
};

/// One case. Paths are as they can be opened from here.
struct RequestCase {
  std::string name;
  std::string task;
  std::vector<std::string> images;
  std::vector<std::vector<std::string>> videos; ///< frames of each
  std::vector<std::string> texts;
  std::string tokenizer; ///< folder, relative to the model's; "" for its own
  PromptFields prompt;
  std::string tensors;      ///< mode "tensors": a safetensors file
  std::string prefix;       ///< of the names in it
  int64_t maxNewTokens = 0; ///< 0: the model's own number
  BeamFields beams;
  /// What is wrong with this case alone.
  std::optional<Fault> fault;
};

struct RequestFile {
  bool isTensors = false; ///< the mode
  std::vector<RequestCase> cases;
};

/// Errors: a file that is no JSON or not of the form.
Outcome<RequestFile> readRequests(const std::string &path);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_REQUESTS_H
