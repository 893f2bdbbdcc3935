//===- Siglip2.cpp - SigLIP 2 models of any resolution --------------------===//
//
// `model_type` siglip2 is NaFlex alone: pictures of their own aspect, cut into
// patches by the processor. SigLIP 2 models of fixed resolution are of the type
// siglip and read by Siglip.cpp.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Family.h"

namespace vlmc {

extern const Family familySiglip2;
const Family familySiglip2 = {
    "siglip2", nullptr, nullptr,
    "NaFlex models, which take pictures of any size and aspect, are not "
    "supported yet; take the SigLIP 2 checkpoint of a fixed resolution, such "
    "as google/siglip2-base-patch16-224, whose model_type is siglip"};

} // namespace vlmc
