//===- Videos.cpp - Videos as frames in files -----------------------------===//
#include "tools/vlmc/Videos.h"

namespace vlmc::tool {

Outcome<Image> decodeVideo(const std::vector<std::string> &frames) {
  std::vector<Image> pictures;
  for (const std::string &path : frames) {
    Outcome<Image> image = decodeImage(path);
    if (!image)
      return image.takeFault();
    pictures.push_back(std::move(*image));
  }
  std::vector<vlm_image_t *> given;
  for (const Image &picture : pictures)
    given.push_back(picture.get());
  vlm_image_t *video = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_image_create_video(given.data(), given.size(), &video)))
    return Fault((frames.empty() ? "" : frames.front() + ": ") + fault->message,
                 fault->code);
  for (Image &picture : pictures)
    (void)picture.release(); // the video's now
  return Image(video, vlm_image_destroy);
}

} // namespace vlmc::tool
