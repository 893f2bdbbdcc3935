//===- Siglip.h - SigLIP's tower, wherever it looks -------------*- C++ -*-===//
//
// What models that borrow SigLIP's vision tower need of it.
//
//   Json values = siglipVisionDefaults();
//   values.update(visionConfig);
//   readTowerImage(folder, siglipProcessor(side), side, log, model);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_SIGLIP_H
#define VLMC_FRONTEND_FAMILIES_SIGLIP_H

#include "frontend/families/DualEncoder.h"

namespace vlmc {

/// The defaults of SiglipVisionConfig.
const Json &siglipVisionDefaults();

/// SiglipImageProcessor for pictures of that side.
ImageProcessorClass siglipProcessor(int64_t side);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_SIGLIP_H
