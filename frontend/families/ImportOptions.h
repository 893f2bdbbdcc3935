//===- ImportOptions.h - What a user may say of a checkpoint ----*- C++ -*-===//
//
// What cannot be read from the checkpoint's own folder.
//
//   ImportOptions options;
//   options.visionTower = "/models/clip-vit-large-patch14-336";
//   importCheckpoint("/models/foo", warnings, options);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_IMPORTOPTIONS_H
#define VLMC_FRONTEND_FAMILIES_IMPORTOPTIONS_H

#include <string>

namespace vlmc {

struct ImportOptions {
  /// The folder of the vision tower, of checkpoints that only name it; "": it
  /// is looked for by that name.
  std::string visionTower = {};
};

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_IMPORTOPTIONS_H
