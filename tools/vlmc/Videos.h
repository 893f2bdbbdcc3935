//===- Videos.h - Videos as frames in files ---------------------*- C++ -*-===//
//
// A video is a folder of pictures, or pictures one by one; all of them are its
// frames, in their order, and none is left out.
//
//   Outcome<std::vector<std::string>> frames = framesOf("clip/");
//   Outcome<Image> video = decodeVideo(*frames);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_VIDEOS_H
#define VLMC_TOOLS_VLMC_VIDEOS_H

#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/VideoFrames.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// Errors: those of the runtime; frames of several sizes.
Outcome<Image> decodeVideo(const std::vector<std::string> &frames);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_VIDEOS_H
