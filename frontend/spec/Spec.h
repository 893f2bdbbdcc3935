//===- Spec.h - ModelSpec as text -------------------------------*- C++ -*-===//
//
// Reads and prints `.textproto` files: protobuf's text format of the message in
// model_spec.proto. What the numbers mean is checked where graphs are built
// (frontend/blocks), not here.
//
//   Result<spec::ModelSpec> model = readSpec("models/foo.textproto");
//   if (!model)
//     return model.takeFailure();
//   std::cout << printSpec(*model);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_SPEC_SPEC_H
#define VLMC_FRONTEND_SPEC_SPEC_H

#include "frontend/spec/model_spec.pb.h"
#include "frontend/support/Result.h"

#include <string>
#include <string_view>

namespace vlmc {

/// Parses a spec. `file` stands in messages: "FILE:LINE:COLUMN: ...", one line
/// for each fault.
Result<spec::ModelSpec> parseSpec(std::string_view text,
                                  const std::string &file);

/// Reads and parses a file.
Result<spec::ModelSpec> readSpec(const std::string &path);

/// The spec as text that parseSpec() reads back to an equal message. The same
/// spec gives the same text.
std::string printSpec(const spec::ModelSpec &model);

} // namespace vlmc

#endif // VLMC_FRONTEND_SPEC_SPEC_H
