//===- VideoFrames.cpp - The files of a video's frames --------------------===//
#include "tools/vlmc/VideoFrames.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace vlmc::tool {

namespace fs = std::filesystem;

static bool isDigit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

/// Whether a name comes before another, numbers in them by value: "f2" before
/// "f10".
static bool isBefore(const std::string &lhs, const std::string &rhs) {
  size_t i = 0, j = 0;
  auto number = [](const std::string &name, size_t &at) {
    size_t begin = at;
    while (at < name.size() && isDigit(name[at]))
      ++at;
    size_t zeros = begin;
    while (zeros + 1 < at && name[zeros] == '0')
      ++zeros;
    return name.substr(zeros, at - zeros);
  };
  while (i < lhs.size() && j < rhs.size()) {
    if (isDigit(lhs[i]) && isDigit(rhs[j])) {
      std::string a = number(lhs, i), b = number(rhs, j);
      if (a.size() != b.size())
        return a.size() < b.size();
      if (a != b)
        return a < b;
    } else if (lhs[i] != rhs[j]) {
      return lhs[i] < rhs[j];
    } else {
      ++i;
      ++j;
    }
  }
  if (lhs.size() - i != rhs.size() - j)
    return lhs.size() - i < rhs.size() - j;
  return lhs < rhs; // "f01" and "f1"
}

static bool isPicture(const fs::path &path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp",
                                        ".gif"};
  return std::ranges::find(endings, ending) != std::end(endings);
}

static bool isFolder(const std::string &path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool isVideoPath(const std::string &path) {
  std::error_code ignored;
  // A comma at the end belongs to the sentence around.
  const size_t comma = path.find(',');
  return isFolder(path) || (comma != path.npos && comma + 1 < path.size() &&
                            !fs::exists(path, ignored));
}

Outcome<std::vector<std::string>> framesOf(const std::string &path) {
  std::vector<std::string> frames;
  if (!isFolder(path)) {
    std::error_code ignored;
    const bool isThere = fs::exists(path, ignored);
    if (isThere && isPicture(fs::path(path)))
      return std::vector<std::string>{path};
    if (isThere)
      return Fault(path + ": expected a folder of pictures or a list of "
                          "pictures a.png,b.png, found a file; vlmc reads no "
                          "video files: write its frames as pictures first "
                          "(ffmpeg -i VIDEO folder/%04d.png)");
    for (size_t begin = 0; begin <= path.size();) {
      size_t end = std::min(path.find(',', begin), path.size());
      if (end == begin)
        return Fault(path + ": expected a list of pictures a.png,b.png, found "
                            "an empty name in it");
      frames.push_back(path.substr(begin, end - begin));
      begin = end + 1;
    }
    return frames;
  }
  std::error_code failed, ignored;
  fs::directory_iterator at(path, failed), end;
  for (; !failed && at != end; at.increment(failed))
    if (isPicture(at->path()) && !at->is_directory(ignored))
      frames.push_back(at->path().filename().string());
  if (failed)
    return Fault(path + ": the folder cannot be read: " + failed.message());
  if (frames.empty())
    return Fault(path + ": expected a folder of pictures, the frames of a "
                        "video, found none; PNG, JPEG, WebP and GIF files are "
                        "taken");
  std::ranges::sort(frames, isBefore);
  for (std::string &frame : frames)
    frame = (fs::path(path) / frame).string();
  return frames;
}

} // namespace vlmc::tool
