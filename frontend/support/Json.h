//===- Json.h - Reading JSON files strictly ---------------------*- C++ -*-===//
//
// Parses JSON that a user hands in: faults are told by file, line and column,
// duplicate names and absurd depth are faults, nothing is thrown.
//
//   Result<Json> config = readJsonFile("/models/foo/config.json");
//   if (!config)
//     return config.takeFailure();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_SUPPORT_JSON_H
#define VLMC_FRONTEND_SUPPORT_JSON_H

#include "frontend/support/Result.h"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace vlmc {

using Json = nlohmann::json;

/// Parses `text`. `file` stands in messages: "FILE:LINE:COLUMN: ...".
/// Errors: text that is no JSON, an object that has a name twice, more than 64
/// objects and arrays inside each other.
Result<Json> parseJson(std::string_view text, const std::string &file);

/// Reads and parses a file of at most 256 MiB.
Result<Json> readJsonFile(const std::string &path);

/// A value as it stands in messages: JSON on one line, cut to 60 characters.
std::string describe(const Json &value);

} // namespace vlmc

#endif // VLMC_FRONTEND_SUPPORT_JSON_H
