//===- DecodeJpeg.cpp - JPEG to RGB ---------------------------------------===//
//
// libjpeg-turbo with its defaults, which are Pillow's: accurate integer DCT,
// fancy upsampling. It reports errors by longjmp: a function that it may leave
// in this way holds nothing that needs to be destroyed.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/image/Orientation.h"

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jerror.h>
#include <jpeglib.h>

using namespace vlmc::rt;

namespace {
/// One decoding: what libjpeg's callbacks and its caller share.
struct JpegReader {
  const EncodedImage &input;
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  std::jmp_buf leave{};
  vlm_code_t code = VLM_CORRUPT;
  const char *kind = "damaged JPEG file";
  char error[JMSG_LENGTH_MAX] = "";
  int orientation = 1;

  explicit JpegReader(const EncodedImage &input) : input(input) {}
  ~JpegReader() { jpeg_destroy_decompress(&jpeg); }
  JpegReader(const JpegReader &) = delete;
  JpegReader &operator=(const JpegReader &) = delete;

  bool open();
  bool readPixels(vlm_image_t &image, uint8_t *fourChannels);
  vlm_status_t *failure() const;
  bool hasFourChannels() const { return jpeg.num_components == 4; }
};
} // namespace

static JpegReader &readerOf(j_common_ptr jpeg) {
  return *static_cast<JpegReader *>(jpeg->client_data);
}

[[noreturn]] static void onError(j_common_ptr jpeg) {
  JpegReader &reader = readerOf(jpeg);
  jpeg->err->format_message(jpeg, reader.error);
  switch (jpeg->err->msg_code) {
  case JERR_INPUT_EOF:
    reader.kind = "truncated JPEG file";
    break;
  case JERR_OUT_OF_MEMORY:
    reader.code = VLM_OUT_OF_MEMORY;
    reader.kind = "JPEG file";
    break;
  case JERR_BAD_PRECISION:
  case JERR_SOF_UNSUPPORTED:
  case JERR_CONVERSION_NOTIMPL:
  case JERR_ARITH_NOTIMPL:
  case JERR_COMPONENT_COUNT:
    reader.code = VLM_UNSUPPORTED;
    reader.kind = "kind of JPEG file that is not supported";
    break;
  default:
    break;
  }
  std::longjmp(reader.leave, 1);
}

// Pillow takes pictures with warnings as they are.
static void onMessage(j_common_ptr, int) {}
static void onOutput(j_common_ptr) {}

static void onInitSource(j_decompress_ptr) {}
static void onTermSource(j_decompress_ptr) {}

/// All bytes are there from the start: who asks for more is past the end.
static boolean onFill(j_decompress_ptr jpeg) {
  jpeg->err->msg_code = JERR_INPUT_EOF;
  onError(reinterpret_cast<j_common_ptr>(jpeg));
}

static void onSkip(j_decompress_ptr jpeg, long bytes) {
  if (bytes <= 0)
    return;
  if (static_cast<size_t>(bytes) > jpeg->src->bytes_in_buffer)
    onFill(jpeg);
  jpeg->src->next_input_byte += bytes;
  jpeg->src->bytes_in_buffer -= bytes;
}

vlm_status_t *JpegReader::failure() const {
  return makeStatus(code, std::string(input.name) + ": " + kind + ": " + error +
                              (code == VLM_UNSUPPORTED
                                   ? "; convert the picture to PNG"
                                   : "; fetch or export the picture again"));
}

/// The first marker APP1 that starts with `prefix` (of that many bytes): what
/// follows it, and how many bytes.
static const uint8_t *findMarker(jpeg_saved_marker_ptr marker,
                                 const char *prefix, size_t prefixBytes,
                                 size_t &outBytes) {
  for (; marker; marker = marker->next) {
    if (marker->marker != JPEG_APP0 + 1 || marker->data_length < prefixBytes ||
        std::memcmp(marker->data, prefix, prefixBytes) != 0)
      continue;
    outBytes = marker->data_length - prefixBytes;
    return marker->data + prefixBytes;
  }
  outBytes = 0;
  return nullptr;
}

/// Reads everything in front of the pixels. False: `error` tells why.
bool JpegReader::open() {
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = onError;
  errors.emit_message = onMessage;
  errors.output_message = onOutput;
  jpeg.client_data = this;
  if (setjmp(leave))
    return false;
  jpeg_create_decompress(&jpeg);
  source = {input.data,  input.bytes, onInitSource,
            onFill,      onSkip,      jpeg_resync_to_restart,
            onTermSource};
  jpeg.src = &source;
  jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&jpeg, TRUE);
  size_t exifBytes, xmpBytes;
  const uint8_t *exif = findMarker(jpeg.marker_list, "Exif\0\0", 6, exifBytes);
  constexpr char xmpPrefix[] = "http://ns.adobe.com/xap/1.0/";
  const uint8_t *xmp =
      findMarker(jpeg.marker_list, xmpPrefix, sizeof(xmpPrefix), xmpBytes);
  orientation = findOrientation(exif, exifBytes, xmp, xmpBytes);
  return true;
}

/// The byte nearest to a * b / 255.
static int scaled(int a, int b) {
  int product = a * b + 128;
  return (product + (product >> 8)) >> 8;
}

/// CMYK as Adobe stores it, inverted, to RGB in Pillow's naive way.
static void convertCmyk(const uint8_t *in, uint8_t *out, int64_t width) {
  for (int64_t x = 0; x < width; ++x, in += 4, out += 3)
    for (int c = 0; c < 3; ++c)
      out[c] = static_cast<uint8_t>(in[3] - scaled(255 - in[c], in[3]));
}

/// Reads the pixels; `fourChannels` has room for a row of CMYK if there is any.
/// False: `error` tells why.
bool JpegReader::readPixels(vlm_image_t &image, uint8_t *fourChannels) {
  if (setjmp(leave))
    return false;
  bool isGrey = jpeg.num_components == 1;
  jpeg.out_color_space = isGrey              ? JCS_GRAYSCALE
                         : hasFourChannels() ? JCS_CMYK
                                             : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    uint8_t *out = image.row(jpeg.output_scanline);
    // Grey goes to the end of the row: expanding it never overtakes reading.
    uint8_t *in = isGrey              ? out + 2 * image.width
                  : hasFourChannels() ? fourChannels
                                      : out;
    jpeg_read_scanlines(&jpeg, &in, 1);
    if (isGrey)
      for (int64_t x = 0; x < image.width; ++x, out += 3)
        out[0] = out[1] = out[2] = in[x];
    else if (hasFourChannels())
      convertCmyk(in, out, image.width);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

vlm_status_t *vlmc::rt::decodeJpeg(const EncodedImage &input,
                                   std::unique_ptr<vlm_image_t> &outImage) {
  auto reader = std::make_unique<JpegReader>(input);
  bool opened = reader->open();
  if (!opened && reader->errors.msg_code == JERR_EMPTY_IMAGE)
    return makeImage(input.name, reader->jpeg.image_height,
                     reader->jpeg.image_width, input.maxPixels, outImage);
  if (!opened)
    return reader->failure();
  if (vlm_status_t *status =
          makeImage(input.name, reader->jpeg.image_height,
                    reader->jpeg.image_width, input.maxPixels, outImage))
    return status;
  std::unique_ptr<uint8_t[]> row;
  if (reader->hasFourChannels())
    row = std::make_unique<uint8_t[]>(size_t(outImage->width) * 4);
  if (!reader->readPixels(*outImage, row.get()))
    return reader->failure();
  return turnUpright(input.name, reader->orientation, outImage);
}
