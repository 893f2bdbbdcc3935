//===- VideoFrames.h - The files of a video's frames ------------*- C++ -*-===//
//
// Which pictures a path names; nothing is read or decoded here.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_VIDEOFRAMES_H
#define VLMC_TOOLS_VLMC_VIDEOFRAMES_H

#include "tools/vlmc/Fault.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// The frames' files: the pictures of a folder by their names, numbers in them
/// by value, other files left out; or those of a list "a.png,b.png".
/// Errors: a folder without pictures; a file that is not there.
Outcome<std::vector<std::string>> framesOf(const std::string &path);

/// Whether framesOf() would take it for a video and no picture.
bool isVideoPath(const std::string &path);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_VIDEOFRAMES_H
