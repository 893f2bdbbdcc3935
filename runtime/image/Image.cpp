//===- Image.cpp - The picture object and the door to the decoders --------===//
#include "runtime/abi/ImagePipelines.h"
#include "runtime/core/LayerInternal.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

using namespace vlmc::rt;

/// Pillow refuses pictures with more pixels as decompression bombs.
static constexpr int64_t defaultMaxPixels = 178'956'970;
/// Longer files are refused: one without an end would fill the memory.
static constexpr size_t maxFileBytes = size_t(1) << 30;

static std::string sizeText(int64_t height, int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

vlm_status_t *vlmc::rt::makeImage(const char *name, int64_t height,
                                  int64_t width, int64_t maxPixels,
                                  std::unique_ptr<vlm_image_t> &outImage) {
  if (height < 1 || width < 1)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      std::string(name) +
                          ": expected a picture of at least 1 x 1 pixels, "
                          "found " +
                          sizeText(height, width) +
                          " (height x width); give another picture");
  if (height > maxPixels / width)
    return makeStatus(
        VLM_INVALID_ARGUMENT,
        std::string(name) + ": expected at most " + std::to_string(maxPixels) +
            " pixels (the limit max_pixels), found " + sizeText(height, width) +
            " (height x width); make the picture smaller");
  if (height > (std::numeric_limits<int64_t>::max() / 4) / width)
    return outOfMemory(name);
  auto image = std::make_unique<vlm_image_t>();
  size_t bytes = size_t(height) * size_t(width) * 3;
  image->height = height;
  image->width = width;
  image->rgb.reset(static_cast<uint8_t *>(std::malloc(bytes + readableTail)));
  if (!image->rgb)
    return outOfMemory(name);
  std::memset(image->rgb.get() + bytes, 0, readableTail);
  outImage = std::move(image);
  return nullptr;
}

/// Names kinds of files that are met often, for the message.
static std::string_view kindOf(std::string_view data) {
  auto has = [&](size_t at, std::string_view magic) {
    return data.size() >= at && data.substr(at).starts_with(magic);
  };
  if (has(0, "BM"))
    return "a BMP file";
  if (has(0, std::string_view("II*\0", 4)) ||
      has(0, std::string_view("MM\0*", 4)))
    return "a TIFF file";
  if (has(4, "ftyp"))
    return "a HEIF or AVIF file";
  return "none of them";
}

static vlm_status_t *readLimits(const vlm_image_limits_t *limits,
                                int64_t &maxPixels) {
  maxPixels = defaultMaxPixels;
  if (!limits)
    return nullptr;
  if (limits->struct_bytes < sizeof(vlm_image_limits_t))
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "limits->struct_bytes: expected " +
                          std::to_string(sizeof(vlm_image_limits_t)) +
                          ", found " + std::to_string(limits->struct_bytes) +
                          "; set it to sizeof(vlm_image_limits_t)");
  if (limits->max_pixels < 0)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "limits->max_pixels: expected 0 (the default) or more, "
                      "found " +
                          std::to_string(limits->max_pixels));
  if (limits->max_pixels > 0)
    maxPixels = limits->max_pixels;
  return nullptr;
}

static vlm_status_t *decode(const void *data, size_t bytes, const char *name,
                            const vlm_image_limits_t *limits,
                            vlm_image_t **outImage) {
  int64_t maxPixels;
  if (vlm_status_t *status = readLimits(limits, maxPixels))
    return status;
  if (bytes == 0)
    return makeStatus(
        VLM_CORRUPT,
        std::string(name) +
            ": expected a PNG, JPEG, WebP or GIF file, found no bytes; "
            "fetch or export the picture again");
  std::string_view view(static_cast<const char *>(data), bytes);
  EncodedImage input{static_cast<const uint8_t *>(data), bytes, name,
                     maxPixels};
  std::unique_ptr<vlm_image_t> image;
  vlm_status_t *status;
  if (view.starts_with("\x89PNG\r\n\x1a\n"))
    status = decodePng(input, image);
  else if (view.starts_with("\xff\xd8\xff"))
    status = decodeJpeg(input, image);
  else if (view.starts_with("RIFF") && view.size() >= 8 &&
           view.substr(8).starts_with("WEBP"))
    status = decodeWebp(input, image);
  else if (view.starts_with("GIF87a") || view.starts_with("GIF89a"))
    status = decodeGif(input, image);
  else
    return makeStatus(
        VLM_UNSUPPORTED,
        std::string(name) + ": expected a PNG, JPEG, WebP or GIF file, found " +
            std::string(kindOf(view)) + "; convert the picture to PNG");
  if (!status)
    *outImage = image.release();
  return status;
}

static vlm_status_t *readFile(const char *path, std::vector<uint8_t> &out) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path, "rbe"),
                                                        &std::fclose);
  if (!file)
    return makeStatus(errno == ENOENT ? VLM_NOT_FOUND : VLM_IO,
                      std::string(path) +
                          ": cannot open: " + std::strerror(errno) +
                          "; check the path and its permissions");
  for (size_t used = 0;;) {
    out.resize(used + (used < (1 << 20) ? (1 << 16) : used));
    size_t got =
        std::fread(out.data() + used, 1, out.size() - used, file.get());
    used += got;
    if (got == 0) {
      if (std::ferror(file.get()))
        return makeStatus(VLM_IO, std::string(path) +
                                      ": cannot read: " + std::strerror(errno) +
                                      "; check the path");
      out.resize(used);
      return nullptr;
    }
    if (used > maxFileBytes)
      return makeStatus(VLM_INVALID_ARGUMENT,
                        std::string(path) +
                            ": expected a picture file of at most 1 GiB, "
                            "found more; make the picture smaller");
  }
}

extern "C" {

vlm_status_t *vlm_image_decode(const void *data, size_t bytes, const char *name,
                               const vlm_image_limits_t *limits,
                               vlm_image_t **out_image) {
  return guarded("decoding a picture", [&] {
    return decode(data, bytes, name ? name : "picture", limits, out_image);
  });
}

vlm_status_t *vlm_image_decode_file(const char *path,
                                    const vlm_image_limits_t *limits,
                                    vlm_image_t **out_image) {
  return guarded("decoding a picture", [&]() -> vlm_status_t * {
    std::vector<uint8_t> bytes;
    if (vlm_status_t *status = readFile(path, bytes))
      return status;
    return decode(bytes.data(), bytes.size(), path, limits, out_image);
  });
}

vlm_status_t *vlm_image_create(const uint8_t *rgb, int64_t height,
                               int64_t width, int64_t rowBytes,
                               vlm_image_t **out_image) {
  return guarded("making a picture", [&]() -> vlm_status_t * {
    std::unique_ptr<vlm_image_t> image;
    if (vlm_status_t *status =
            makeImage("picture", height, width,
                      std::numeric_limits<int64_t>::max(), image))
      return status;
    if (rowBytes < 3 * width)
      return makeStatus(VLM_INVALID_ARGUMENT, "row_bytes: expected at least " +
                                                  std::to_string(3 * width) +
                                                  " (3 * width), found " +
                                                  std::to_string(rowBytes));
    for (int64_t y = 0; y < height; ++y)
      std::memcpy(image->row(y), rgb + y * rowBytes, size_t(width) * 3);
    *out_image = image.release();
    return nullptr;
  });
}

int64_t vlm_image_height(const vlm_image_t *image) { return image->height; }
int64_t vlm_image_width(const vlm_image_t *image) { return image->width; }
const uint8_t *vlm_image_rgb(const vlm_image_t *image) {
  return image->rgb.get();
}

const uint8_t *vlm_image_digest(const vlm_image_t *image) {
  auto *own = const_cast<vlm_image_t *>(image);
  std::call_once(own->isHashed, [&] {
    struct {
      int64_t height, width;
      uint8_t hasKey, key[3], zeros[4], pixels[32];
    } all{image->height,
          image->width,
          uint8_t(image->key.isThere),
          {image->key.rgb[0], image->key.rgb[1], image->key.rgb[2]},
          {},
          {}};
    std::vector<uint8_t> frames;
    for (const auto &frame : image->frames)
      frames.insert(frames.end(), vlm_image_digest(frame.get()),
                    vlm_image_digest(frame.get()) + sizeof(frame->digest));
    if (frames.empty())
      vlm_sha256(image->rgb.get(), size_t(3 * image->height * image->width),
                 all.pixels);
    else
      vlm_sha256(frames.data(), frames.size(), all.pixels);
    vlm_sha256(&all, sizeof(all), own->digest);
  });
  return own->digest;
}
void vlm_image_destroy(vlm_image_t *image) { delete image; }

vlm_status_t *vlm_image_create_video(vlm_image_t **frames, size_t count,
                                     vlm_image_t **out_video) {
  return guarded("making a video", [&]() -> vlm_status_t * {
    if (!frames || !out_video || !count)
      return makeStatus(VLM_INVALID_ARGUMENT,
                        "video: expected at least one frame, found none; give "
                        "its pictures in their order");
    for (size_t i = 0; i < count; ++i) {
      std::string where = "video: frame " + std::to_string(i) + ": expected ";
      if (!frames[i] || !frames[i]->frames.empty())
        return makeStatus(VLM_INVALID_ARGUMENT,
                          where + "a picture, found " +
                              (frames[i] ? "a video" : "NULL"));
      if (frames[i]->height != frames[0]->height ||
          frames[i]->width != frames[0]->width)
        return makeStatus(
            VLM_INVALID_ARGUMENT,
            where + sizeText(frames[0]->height, frames[0]->width) +
                " pixels (height x width), as frame 0 has, found " +
                sizeText(frames[i]->height, frames[i]->width) +
                "; give frames of one size");
    }
    auto video = std::make_unique<vlm_image_t>();
    video->height = frames[0]->height;
    video->width = frames[0]->width;
    video->frames.resize(count);
    for (size_t i = 0; i < count; ++i)
      video->frames[i].reset(std::exchange(frames[i], nullptr));
    *out_video = video.release();
    return nullptr;
  });
}

size_t vlm_image_frame_count(const vlm_image_t *image) {
  return image->frames.size();
}

const vlm_image_t *vlm_image_frame(const vlm_image_t *video, size_t number) {
  return number < video->frames.size() ? video->frames[number].get() : nullptr;
}

} // extern "C"
