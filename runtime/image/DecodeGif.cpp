//===- DecodeGif.cpp - GIF to RGB -----------------------------------------===//
//
// The first picture of the file, without its transparency. As Pillow shows it:
// what the picture does not cover of the screen has the transparent colour's
// own value, or that of colour 0; a picture that reaches beyond the screen
// enlarges it.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"

#include <algorithm>
#include <cstring>
#include <gif_lib.h>
#include <string>
#include <vector>

using namespace vlmc::rt;

namespace {
/// One decoding.
class GifReader {
public:
  explicit GifReader(const EncodedImage &input) : input(input) {}
  ~GifReader() {
    if (gif)
      DGifCloseFile(gif, nullptr);
  }
  GifReader(const GifReader &) = delete;
  GifReader &operator=(const GifReader &) = delete;

  vlm_status_t *read(std::unique_ptr<vlm_image_t> &outImage);

private:
  static int onRead(GifFileType *gif, GifByteType *out, int bytes);
  vlm_status_t *failure(int error) const;
  vlm_status_t *findPicture();
  bool readExtension();
  void makePalette();
  void paint(uint8_t *out, const GifByteType *in, int64_t count) const;
  vlm_status_t *readRows(vlm_image_t &image);

  const EncodedImage &input;
  GifFileType *gif = nullptr;
  size_t position = 0;
  bool isTruncated = false;
  int transparent = -1;
  uint8_t palette[256][3] = {};
};
} // namespace

int GifReader::onRead(GifFileType *gif, GifByteType *out, int bytes) {
  auto *reader = static_cast<GifReader *>(gif->UserData);
  size_t left = reader->input.bytes - reader->position;
  size_t count = std::min(left, static_cast<size_t>(std::max(bytes, 0)));
  if (count < static_cast<size_t>(bytes))
    reader->isTruncated = true;
  std::memcpy(out, reader->input.data + reader->position, count);
  reader->position += count;
  return static_cast<int>(count);
}

vlm_status_t *GifReader::failure(int error) const {
  if (error == D_GIF_ERR_NOT_ENOUGH_MEM)
    return outOfMemory(input.name);
  std::string what = "the file ends too early";
  if (!isTruncated) {
    const char *text = GifErrorString(error);
    what = text ? text : "its blocks make no sense";
  }
  return makeStatus(
      VLM_CORRUPT,
      std::string(input.name) +
          (isTruncated ? ": truncated GIF file: " : ": damaged GIF file: ") +
          what + "; fetch or export the picture again");
}

/// Reads an extension and keeps the transparent colour. False: it failed.
bool GifReader::readExtension() {
  int code = 0;
  GifByteType *block = nullptr;
  if (DGifGetExtension(gif, &code, &block) == GIF_ERROR)
    return false;
  GraphicsControlBlock control;
  if (code == GRAPHICS_EXT_FUNC_CODE && block &&
      DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK &&
      control.TransparentColor != NO_TRANSPARENT_COLOR)
    transparent = control.TransparentColor;
  while (block)
    if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
      return false;
  return true;
}

/// Reads up to the first picture's pixels.
vlm_status_t *GifReader::findPicture() {
  for (;;) {
    GifRecordType type;
    if (DGifGetRecordType(gif, &type) == GIF_ERROR)
      return failure(gif->Error);
    if (type == IMAGE_DESC_RECORD_TYPE)
      return DGifGetImageDesc(gif) == GIF_OK ? nullptr : failure(gif->Error);
    if (type == TERMINATE_RECORD_TYPE)
      return failure(D_GIF_ERR_NO_IMAG_DSCR);
    if (type == EXTENSION_RECORD_TYPE && !readExtension())
      return failure(gif->Error);
  }
}

/// A map that only says that number n is grey n.
static bool isGreyRamp(const ColorMapObject &map) {
  for (int i = 0; i < map.ColorCount; ++i) {
    const GifColorType &color = map.Colors[i];
    if (color.Red != i || color.Green != i || color.Blue != i)
      return false;
  }
  return true;
}

/// The colours of the picture's own map, or of the file's, or greys. Colours
/// behind the end of a map are black, but those of a grey ramp go on.
void GifReader::makePalette() {
  const ColorMapObject *map =
      gif->Image.ColorMap ? gif->Image.ColorMap : gif->SColorMap;
  if (map && isGreyRamp(*map))
    map = nullptr;
  for (int i = 0; i < 256; ++i) {
    bool isThere = map && i < map->ColorCount;
    palette[i][0] = isThere ? map->Colors[i].Red : map ? 0 : i;
    palette[i][1] = isThere ? map->Colors[i].Green : map ? 0 : i;
    palette[i][2] = isThere ? map->Colors[i].Blue : map ? 0 : i;
  }
}

void GifReader::paint(uint8_t *out, const GifByteType *in,
                      int64_t count) const {
  for (int64_t x = 0; x < count; ++x, out += 3) {
    out[0] = palette[in[x]][0];
    out[1] = palette[in[x]][1];
    out[2] = palette[in[x]][2];
  }
}

/// Reads the pixels of the picture to its place.
vlm_status_t *GifReader::readRows(vlm_image_t &image) {
  const GifImageDesc &place = gif->Image;
  std::vector<GifByteType> row(std::max<int64_t>(image.width, 1));
  if (place.Width < image.width || place.Height < image.height) {
    std::fill(row.begin(), row.end(),
              static_cast<GifByteType>(std::max(transparent, 0)));
    for (int64_t y = 0; y < image.height; ++y)
      paint(image.row(y), row.data(), image.width);
  }
  // Interlaced pictures come in four rounds.
  static constexpr int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
  int rounds = place.Interlace ? 4 : 1;
  for (int round = 0; round < rounds; ++round) {
    int start = place.Interlace ? starts[round] : 0;
    int step = place.Interlace ? steps[round] : 1;
    for (int y = start; y < place.Height; y += step) {
      if (DGifGetLine(gif, row.data(), place.Width) == GIF_ERROR)
        return failure(gif->Error);
      paint(image.row(place.Top + y) + int64_t(3) * place.Left, row.data(),
            place.Width);
    }
  }
  return nullptr;
}

vlm_status_t *GifReader::read(std::unique_ptr<vlm_image_t> &outImage) {
  int error = 0;
  gif = DGifOpen(this, onRead, &error);
  if (!gif)
    return failure(error);
  if (vlm_status_t *status = findPicture())
    return status;
  const GifImageDesc &place = gif->Image;
  int64_t right = int64_t(place.Left) + place.Width;
  int64_t bottom = int64_t(place.Top) + place.Height;
  if (vlm_status_t *status = makeImage(
          input.name, std::max<int64_t>(gif->SHeight, bottom),
          std::max<int64_t>(gif->SWidth, right), input.maxPixels, outImage))
    return status;
  makePalette();
  if (transparent >= 0)
    outImage->key = {true,
                     {palette[transparent][0], palette[transparent][1],
                      palette[transparent][2]}};
  return readRows(*outImage);
}

vlm_status_t *vlmc::rt::decodeGif(const EncodedImage &input,
                                  std::unique_ptr<vlm_image_t> &outImage) {
  return GifReader(input).read(outImage);
}
