//===- ContactSheet.cpp - Pictures found, on a page -----------------------===//
#include "tools/vlmc/ContactSheet.h"

#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/Svg.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace vlmc::tool {

namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// The page
//===----------------------------------------------------------------------===//

/// A path as it may stand in a link.
static std::string linkTo(const std::string &path) {
  std::string link;
  for (char c : path) {
    const bool isPlain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9') ||
        std::string_view("/-_.~").find(c) != std::string_view::npos;
    link += isPlain ? std::string(1, c)
                    : svgText("%%%02X", unsigned(static_cast<uint8_t>(c)));
  }
  return link;
}

std::string sheetPage(const std::string &title,
                      const std::vector<SheetPicture> &pictures,
                      const std::string &place) {
  const std::string name = svgEscape(title);
  std::string page = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">"
                     "<title>" +
                     name +
                     "</title>\n<style>body{font-family:sans-serif}"
                     "figure{display:inline-block;width:200px;margin:8px;"
                     "vertical-align:top}img{width:200px;height:200px;"
                     "object-fit:contain;background:#eee}figcaption{"
                     "font-size:12px;overflow-wrap:anywhere}</style></head>\n"
                     "<body><h1>" +
                     name + "</h1>\n";
  std::error_code error;
  const fs::path folder = fs::absolute(place, error).parent_path();
  for (const SheetPicture &picture : pictures) {
    const fs::path whole = fs::absolute(picture.path, error);
    std::string link = linkTo(whole.lexically_relative(folder).string());
    page += "<figure><a href=\"" + link + "\"><img loading=\"lazy\" src=\"" +
            link + "\" alt=\"" + svgEscape(picture.name) +
            "\"></a><figcaption>" + svgEscape(picture.name) + "<br>" +
            svgText("%.4f", picture.score) + "</figcaption></figure>\n";
  }
  return page + "</body></html>\n";
}

//===----------------------------------------------------------------------===//
// The picture
//===----------------------------------------------------------------------===//

static constexpr int64_t side = 160, gap = 8;

/// Draws a picture into the square whose corner is at (left, top): each pixel
/// is the mean of those that it covers.
static void drawFitted(const vlm_image_t *image, int64_t left, int64_t top,
                       int64_t sheetWidth, std::vector<uint8_t> &sheet) {
  const int64_t height = vlm_image_height(image);
  const int64_t width = vlm_image_width(image);
  const double scale = double(side) / double(std::max(height, width));
  const auto fittedHeight =
      std::clamp<int64_t>(std::llround(double(height) * scale), 1, side);
  const auto fittedWidth =
      std::clamp<int64_t>(std::llround(double(width) * scale), 1, side);
  left += (side - fittedWidth) / 2;
  top += (side - fittedHeight) / 2;
  const uint8_t *rgb = vlm_image_rgb(image);
  for (int64_t y = 0; y < fittedHeight; ++y)
    for (int64_t x = 0; x < fittedWidth; ++x) {
      const int64_t y0 = y * height / fittedHeight;
      const int64_t y1 = std::max(y0 + 1, (y + 1) * height / fittedHeight);
      const int64_t x0 = x * width / fittedWidth;
      const int64_t x1 = std::max(x0 + 1, (x + 1) * width / fittedWidth);
      for (int64_t c = 0; c < 3; ++c) {
        int64_t sum = 0;
        for (int64_t v = y0; v < y1; ++v)
          for (int64_t u = x0; u < x1; ++u)
            sum += rgb[(v * width + u) * 3 + c];
        const int64_t count = (y1 - y0) * (x1 - x0);
        sheet[size_t(((top + y) * sheetWidth + left + x) * 3 + c)] =
            uint8_t((sum + count / 2) / count);
      }
    }
}

static Outcome<std::vector<uint8_t>> encodePng(const std::vector<uint8_t> &rgb,
                                               int64_t width, int64_t height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = png_uint_32(width);
  image.height = png_uint_32(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<uint8_t> file(bytes);
  if (!png_image_write_to_memory(&image, file.data(), &bytes, 0, rgb.data(),
                                 png_int_32(width * 3), nullptr))
    return Fault(std::string("the contact sheet cannot be made: ") +
                     image.message,
                 ExitCode::Internal);
  file.resize(bytes);
  return file;
}

Outcome<std::vector<uint8_t>>
sheetPng(const std::vector<SheetPicture> &pictures) {
  const auto count = std::max<int64_t>(1, int64_t(pictures.size()));
  const int64_t across = std::min<int64_t>(
      10, int64_t(std::ceil(std::sqrt(static_cast<double>(count)))));
  const int64_t down = (count + across - 1) / across;
  const int64_t width = across * (side + gap) + gap;
  const int64_t height = down * (side + gap) + gap;
  std::vector<uint8_t> sheet(size_t(width * height * 3), 255);
  for (size_t i = 0; i < pictures.size(); ++i) {
    Outcome<Image> image = decodeImage(pictures[i].path);
    if (!image) { // one that is known, but cannot be read now
      warn(image.takeFault().message + "; its place stays empty");
      continue;
    }
    const int64_t row = int64_t(i) / across, column = int64_t(i) % across;
    drawFitted(image->get(), gap + column * (side + gap),
               gap + row * (side + gap), width, sheet);
  }
  return encodePng(sheet, width, height);
}

} // namespace vlmc::tool
