//===- DecodeWebp.cpp - WebP to RGB ---------------------------------------===//
//
// The first picture of the file, without its transparency. As Pillow shows it:
// pixels keep the colour that they have under the transparency, and what an
// animation's first frame does not cover is black.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/image/Orientation.h"

#include <cstring>
#include <string>
#include <webp/decode.h>
#include <webp/demux.h>

using namespace vlmc::rt;

namespace {
struct DeleteDemuxer {
  void operator()(WebPDemuxer *demuxer) const { WebPDemuxDelete(demuxer); }
};

/// A frame of the file; released at the end.
struct Frame {
  ~Frame() { WebPDemuxReleaseIterator(&iterator); }
  WebPIterator iterator{};
};

/// A chunk of the file, empty if there is none; released at the end.
struct Chunk {
  Chunk(const WebPDemuxer *demuxer, const char (&name)[5]) {
    if (!WebPDemuxGetChunk(demuxer, name, 1, &iterator))
      iterator.chunk = WebPData{nullptr, 0};
  }
  ~Chunk() { WebPDemuxReleaseChunkIterator(&iterator); }
  Chunk(const Chunk &) = delete;
  Chunk &operator=(const Chunk &) = delete;
  const uint8_t *data() const { return iterator.chunk.bytes; }
  size_t bytes() const { return iterator.chunk.size; }
  WebPChunkIterator iterator{};
};
} // namespace

static vlm_status_t *truncated(const char *name) {
  return makeStatus(VLM_CORRUPT,
                    std::string(name) +
                        ": truncated WebP file: the file ends too early; fetch "
                        "or export the picture again");
}

static vlm_status_t *damaged(const char *name, const char *what) {
  return makeStatus(VLM_CORRUPT, std::string(name) +
                                     ": damaged WebP file: " + what +
                                     "; fetch or export the picture again");
}

/// Decodes a frame to its place in the picture.
static vlm_status_t *decodeFrame(const char *name, const WebPIterator &frame,
                                 vlm_image_t &image) {
  int64_t right = int64_t(frame.x_offset) + frame.width;
  int64_t bottom = int64_t(frame.y_offset) + frame.height;
  bool isInside = frame.x_offset >= 0 && frame.y_offset >= 0 &&
                  right <= image.width && bottom <= image.height;
  WebPDecoderConfig config;
  if (!isInside || !WebPInitDecoderConfig(&config))
    return damaged(name, "the first frame lies outside of the picture");
  bool isWhole = frame.width == image.width && frame.height == image.height;
  if (!isWhole)
    std::memset(image.rgb.get(), 0, size_t(image.height) * image.width * 3);
  WebPRGBABuffer &buffer = config.output.u.RGBA;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  buffer.rgba = image.row(frame.y_offset) + int64_t(3) * frame.x_offset;
  buffer.stride = static_cast<int>(3 * image.width);
  buffer.size =
      size_t(buffer.stride) * (frame.height - 1) + size_t(3) * frame.width;
  switch (WebPDecode(frame.fragment.bytes, frame.fragment.size, &config)) {
  case VP8_STATUS_OK:
    return nullptr;
  case VP8_STATUS_OUT_OF_MEMORY:
    return outOfMemory(name);
  case VP8_STATUS_SUSPENDED:
  case VP8_STATUS_NOT_ENOUGH_DATA:
    return truncated(name);
  default:
    return damaged(name, "its pixels cannot be decoded");
  }
}

vlm_status_t *vlmc::rt::decodeWebp(const EncodedImage &input,
                                   std::unique_ptr<vlm_image_t> &outImage) {
  WebPData data{input.data, input.bytes};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  std::unique_ptr<WebPDemuxer, DeleteDemuxer> demuxer(
      WebPDemuxPartial(&data, &state));
  if (state == WEBP_DEMUX_PARSE_ERROR)
    return damaged(input.name, "its chunks make no sense");
  if (!demuxer || state == WEBP_DEMUX_PARSING_HEADER)
    return truncated(input.name);
  // The size comes first: a file that asks for too much is told so even if it
  // ends too early.
  if (vlm_status_t *status = makeImage(
          input.name, WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT),
          WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH), input.maxPixels,
          outImage))
    return status;
  Frame frame;
  if (state != WEBP_DEMUX_DONE ||
      !WebPDemuxGetFrame(demuxer.get(), 1, &frame.iterator) ||
      !frame.iterator.complete)
    return truncated(input.name);
  if (vlm_status_t *status = decodeFrame(input.name, frame.iterator, *outImage))
    return status;
  Chunk exif(demuxer.get(), "EXIF"), xmp(demuxer.get(), "XMP ");
  int orientation =
      findOrientation(exif.data(), exif.bytes(), xmp.data(), xmp.bytes());
  return turnUpright(input.name, orientation, outImage);
}
