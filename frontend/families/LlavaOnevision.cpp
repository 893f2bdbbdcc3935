//===- LlavaOnevision.cpp - LLaVA-OneVision, known by name ----------------===//
//
// Its features of many tiles are resampled to a limit (anyres_max_9), which no
// entry point does.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Family.h"

namespace vlmc {

extern const Family familyLlavaOnevision;
const Family familyLlavaOnevision = {
    "llava_onevision", nullptr, nullptr,
    "LLaVA-OneVision, whose features of pictures in many tiles are resampled, "
    "is not supported yet; take a LLaVA-NeXT checkpoint, such as "
    "llava-hf/llava-v1.6-mistral-7b-hf, whose model_type is llava_next"};

} // namespace vlmc
