//===- Frontend.h - From a checkpoint folder to a graph ---------*- C++ -*-===//
//
// The frontend's whole interface: checkpoint folder or `.textproto` to
// ModelSpec, ModelSpec and weights to a module at the graph border.
//
//   std::vector<std::string> warnings;
//   Result<spec::ModelSpec> model = importCheckpoint("/models/foo", warnings);
//   if (!model)
//     return model.takeFailure();
//   Result<std::unique_ptr<WeightSource>> weights =
//       openWeights(*model, "/models/foo", warnings);
//   auto module = buildGraph(*model, weights->get(), {}, context);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FRONTEND_H
#define VLMC_FRONTEND_FRONTEND_H

#include "frontend/blocks/BuildGraph.h"
#include "frontend/families/ImageSpec.h"
#include "frontend/families/ImportOptions.h"
#include "frontend/spec/Spec.h"
#include "ir/WeightSource.h"

#include <memory>

namespace vlmc {

/// Whether a folder holds the config of a checkpoint.
bool isCheckpoint(const std::string &folder);

/// Reads config.json and its like into a ModelSpec named after the folder.
/// `options`: what the folder itself does not say. Where the folder has
/// weights, they are checked against it: a missing tensor, one of another shape
/// or a surplus one inside a modelled part is an error; other surplus tensors
/// are warnings. A message has one line for each fault.
Result<spec::ModelSpec> importCheckpoint(const std::string &folder,
                                         std::vector<std::string> &warnings,
                                         const ImportOptions &options = {});

/// Opens the weights of a folder for a model, with the same checks.
Result<std::unique_ptr<WeightSource>>
openWeights(const spec::ModelSpec &model, const std::string &folder,
            std::vector<std::string> &warnings,
            const ImportOptions &options = {});

/// Another folder that config and weights of a checkpoint come from, as those
/// of a vision tower that it only names; "": there is none.
std::string otherFolder(const std::string &folder,
                        const ImportOptions &options = {});

/// Random f32 weights for a model without a checkpoint: matrices of deviation
/// 1/sqrt(inputs), norms about 1, small biases. The same for the same seed.
std::unique_ptr<WeightSource> makeRandomWeights(const spec::ModelSpec &model,
                                                uint64_t seed);

} // namespace vlmc

#endif // VLMC_FRONTEND_FRONTEND_H
