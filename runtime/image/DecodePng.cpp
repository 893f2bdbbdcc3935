//===- DecodePng.cpp - PNG to RGB -----------------------------------------===//
//
// libpng reports errors by longjmp: a function that it may leave in this way
// holds nothing that needs to be destroyed.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/image/Orientation.h"

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <png.h>
#include <string_view>
#include <vector>

using namespace vlmc::rt;

namespace {
/// One decoding: what libpng's callbacks and its caller share.
struct PngReader {
  const EncodedImage &input;
  size_t position = 0;
  bool truncated = false;
  char error[200] = "";
  png_structp png = nullptr;
  png_infop info = nullptr;

  size_t width; ///< as the header says

  PngReader(const EncodedImage &input, size_t width)
      : input(input), width(width) {}
  ~PngReader() {
    if (png)
      png_destroy_read_struct(&png, &info, nullptr);
  }
  PngReader(const PngReader &) = delete;
  PngReader &operator=(const PngReader &) = delete;

  bool open();
  bool readPixels(vlm_image_t &image);
  void skipToEnd();
  vlm_image_t::Key readKey();
  int orientation() const;
  vlm_status_t *failure() const;
};
} // namespace

static void onError(png_structp png, png_const_charp message) {
  auto *reader = static_cast<PngReader *>(png_get_error_ptr(png));
  std::snprintf(reader->error, sizeof(reader->error), "%s", message);
  png_longjmp(png, 1);
}

static void onWarning(png_structp, png_const_charp) {}

static void onRead(png_structp png, png_bytep out, size_t bytes) {
  auto *reader = static_cast<PngReader *>(png_get_io_ptr(png));
  if (bytes > reader->input.bytes - reader->position) {
    reader->truncated = true;
    png_error(png, "the file ends too early");
  }
  std::memcpy(out, reader->input.data + reader->position, bytes);
  reader->position += bytes;
}

/// A chunk may say that it is of two gigabytes, for which libpng would take the
/// memory before it reads; none is longer than the file, and rows are as long
/// as the picture is wide.
static png_voidp onMalloc(png_structp png, png_alloc_size_t bytes) {
  auto *reader = static_cast<PngReader *>(png_get_mem_ptr(png));
  constexpr size_t some = 8'000'000, pixelBytes = 16;
  size_t most = std::max(
      {some, 2 * reader->input.bytes, some + pixelBytes * reader->width});
  return bytes <= most ? std::malloc(bytes) : nullptr;
}

static void onFree(png_structp, png_voidp memory) { std::free(memory); }

vlm_status_t *PngReader::failure() const {
  return makeStatus(
      VLM_CORRUPT,
      std::string(input.name) +
          (truncated ? ": truncated PNG file: " : ": damaged PNG file: ") +
          error + "; fetch or export the picture again");
}

/// Reads everything in front of the pixels. False: `error` tells why.
bool PngReader::open() {
  png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, this, onError,
                                 onWarning, this, onMalloc, onFree);
  if (png)
    info = png_create_info_struct(png);
  if (!info) {
    std::snprintf(error, sizeof(error), "not enough memory");
    return false;
  }
  if (setjmp(png_jmpbuf(png)))
    return false;
  png_set_read_fn(png, this, onRead);
  // The number of pixels is limited elsewhere.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  // Colour profiles have no effect and cost much to check.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER,
                              reinterpret_cast<const png_byte *>("iCCP"), 1);
  // libpng would drop metadata that begin with the prefix of JPEG.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_ALWAYS,
                              reinterpret_cast<const png_byte *>("eXIf"), 1);
  png_read_info(png, info);
  return true;
}

/// Makes pixels of what libpng left at the end of each row: grey or palette
/// bytes, or 16-bit grey. Left to right, writing never overtakes reading.
static void expandRows(vlm_image_t &image, size_t rowBytes,
                       const uint8_t (*palette)[3]) {
  int64_t width = image.width;
  bool isWide = rowBytes == static_cast<size_t>(width) * 2;
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t *out = image.row(y);
    const uint8_t *in = out + 3 * width - rowBytes;
    for (int64_t x = 0; x < width; ++x, out += 3) {
      // Pillow clips 16-bit grey instead of scaling it.
      uint8_t value = !isWide ? in[x] : in[2 * x] > 0 ? 255 : in[2 * x + 1];
      out[0] = palette ? palette[value][0] : value;
      out[1] = palette ? palette[value][1] : value;
      out[2] = palette ? palette[value][2] : value;
    }
  }
}

static void copyPalette(png_structp png, png_infop info,
                        uint8_t (&out)[256][3]) {
  png_colorp colors = nullptr;
  int count = 0;
  png_get_PLTE(png, info, &colors, &count);
  for (int i = 0; i < std::min(count, 256); ++i) {
    out[i][0] = colors[i].red;
    out[i][1] = colors[i].green;
    out[i][2] = colors[i].blue;
  }
}

/// The transparent colour as Pillow has it behind its conversion to RGB: of a
/// palette the one entry that is transparent, none where others are partly so;
/// of grey and RGB the sample of the file, of which eight bits count. The
/// sample of 1-bit and 16-bit grey becomes red alone there.
vlm_image_t::Key PngReader::readKey() {
  vlm_image_t::Key key;
  png_bytep alpha = nullptr;
  int count = 0;
  png_color_16p color = nullptr;
  if (!png_get_tRNS(png, info, &alpha, &count, &color))
    return key;
  int type = png_get_color_type(png, info),
      depth = png_get_bit_depth(png, info);
  auto set = [&](int red, int green, int blue) {
    key = {true, {uint8_t(red), uint8_t(green), uint8_t(blue)}};
  };
  if (type == PNG_COLOR_TYPE_RGB) {
    set(color->red, color->green, color->blue);
  } else if (type == PNG_COLOR_TYPE_GRAY) {
    bool isGrey = depth > 1 && depth < 16;
    set(color->gray, isGrey ? color->gray : 0, isGrey ? color->gray : 0);
  } else if (type == PNG_COLOR_TYPE_PALETTE) {
    uint8_t palette[256][3] = {};
    copyPalette(png, info, palette);
    png_bytep end = alpha + count, at = std::find(alpha, end, 0);
    if (at != end && std::count(alpha, end, 255) == count - 1)
      set(palette[at - alpha][0], palette[at - alpha][1],
          palette[at - alpha][2]);
  }
  return key;
}

/// Reads the pixels to RGB. False: `error` tells why.
bool PngReader::readPixels(vlm_image_t &image) {
  uint8_t palette[256][3] = {};
  if (setjmp(png_jmpbuf(png)))
    return false;
  int colorType = png_get_color_type(png, info);
  bool isPalette = colorType == PNG_COLOR_TYPE_PALETTE;
  png_set_packing(png);
  if (colorType == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8)
    png_set_expand_gray_1_2_4_to_8(png);
  if (colorType != PNG_COLOR_TYPE_GRAY)
    png_set_strip_16(png);
  png_set_strip_alpha(png);
  if (isPalette)
    copyPalette(png, info, palette);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  size_t rowBytes = png_get_rowbytes(png, info);
  size_t fullBytes = size_t(image.width) * 3;
  if (rowBytes > fullBytes)
    png_error(png, "unknown kind of pixels");
  for (int pass = 0; pass < passes; ++pass)
    for (int64_t y = 0; y < image.height; ++y)
      png_read_row(png, image.row(y) + fullBytes - rowBytes, nullptr);
  if (rowBytes != fullBytes)
    expandRows(image, rowBytes, isPalette ? palette : nullptr);
  return true;
}

/// The last text of that name; empty if there is none.
static std::string_view findText(png_structp png, png_infop info,
                                 const char *name) {
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(png, info, &texts, &count);
  std::string_view found;
  for (int i = 0; i < count; ++i)
    if (texts[i].text && std::strcmp(texts[i].key, name) == 0)
      found = texts[i].text;
  return found;
}

/// The bytes of a profile as ImageMagick writes them into a text: three line
/// ends, then hexadecimal digits in lines. Empty if there is anything else.
static std::vector<uint8_t> readRawProfile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    size_t end = text.find('\n');
    if (end == text.npos)
      return {};
    text.remove_prefix(end + 1);
  }
  std::vector<uint8_t> bytes;
  int digits = 0;
  for (char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)))
      continue;
    if (!std::isxdigit(static_cast<unsigned char>(c)))
      return {};
    int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    if (digits++ % 2 == 0)
      bytes.push_back(static_cast<uint8_t>(digit << 4));
    else
      bytes.back() |= static_cast<uint8_t>(digit);
  }
  return bytes;
}

/// Reads to the end. What is wrong behind the pixels does no harm.
void PngReader::skipToEnd() {
  if (!setjmp(png_jmpbuf(png)))
    png_read_end(png, info);
}

int PngReader::orientation() const {
  const uint8_t *exif = nullptr;
  size_t exifBytes = 0;
  png_unknown_chunkp chunks = nullptr;
  int count = png_get_unknown_chunks(png, info, &chunks);
  for (int i = 0; i < count; ++i)
    if (std::memcmp(chunks[i].name, "eXIf", 4) == 0) {
      exif = chunks[i].data;
      exifBytes = chunks[i].size;
    }
  std::vector<uint8_t> profile;
  if (!exif) {
    profile = readRawProfile(findText(png, info, "Raw profile type exif"));
    exif = profile.data();
    exifBytes = profile.size();
  }
  std::string_view xmp = findText(png, info, "XML:com.adobe.xmp");
  return findOrientation(exif, exifBytes,
                         reinterpret_cast<const uint8_t *>(xmp.data()),
                         xmp.size());
}

vlm_status_t *vlmc::rt::decodePng(const EncodedImage &input,
                                  std::unique_ptr<vlm_image_t> &outImage) {
  // The first chunk is the header; its sides are looked at before libpng does,
  // which would take an empty picture for a damaged one.
  constexpr size_t sidesEnd = 24;
  int64_t height = 1, width = 1;
  if (input.bytes >= sidesEnd && std::memcmp(input.data + 12, "IHDR", 4) == 0) {
    width = png_get_uint_32(input.data + 16);
    height = png_get_uint_32(input.data + 20);
  }
  if (height == 0 || width == 0)
    return makeImage(input.name, height, width, input.maxPixels, outImage);
  PngReader reader(input, size_t(width));
  if (!reader.open())
    return reader.failure();
  if (vlm_status_t *status =
          makeImage(input.name, png_get_image_height(reader.png, reader.info),
                    png_get_image_width(reader.png, reader.info),
                    input.maxPixels, outImage))
    return status;
  outImage->key = reader.readKey();
  if (!reader.readPixels(*outImage))
    return reader.failure();
  reader.skipToEnd();
  return turnUpright(input.name, reader.orientation(), outImage);
}
